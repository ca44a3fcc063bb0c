-- Commits an answer: the first one wins, later ones are told what it was. Where the record is not there
-- (a failover lost it, or it was never written), the request is asked for, and then comes along.
-- With a late answer the work goes on: whoever does it keeps the claim, and the outbox remembers the work.
-- A reply too many to one person is not stored but counted: it is said by how many it is too many.
-- Where there are conversations, what the message has made of the person's is kept in the same step.
-- KEYS: record, journal, dead letters, outbox, and where there are: replies counted lately, the conversation
-- ARGV: reference, answer, outcome, story, retention ms, cause ("" unless it failed), channel,
--       entry of the work that goes on or "", owner or "" (somebody else does it), lease ms,
--       request ("" unless asked for or from the spool), received ms (likewise),
--       replies that are too many beyond or "", ms that they are counted,
--       what is kept of the conversation (`keep_talk`), ms that it lasts, ms until it is forgotten
local answer = redis.call('HGET', KEYS[1], 'answer')
if answer then
  return {0, answer, redis.call('HGET', KEYS[1], 'outcome')}
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local retention = tonumber(ARGV[5])

if redis.call('HEXISTS', KEYS[1], 'request') == 0 then
  if ARGV[11] == '' then
    return {2}
  end
  redis.call('HSET', KEYS[1], 'request', ARGV[11], 'received', ARGV[12], 'attempts', 1)
  redis.call('XADD', KEYS[2], 'MINID', '~', now - retention, '*', 'message', ARGV[1])
  redis.call('PEXPIRE', KEYS[2], retention)
end

if KEYS[5] and ARGV[13] ~= '' then
  local over = count_reply(KEYS[5], ARGV[13], ARGV[14]) - tonumber(ARGV[13])
  if over > 0 then
    return {3, over}
  end
end

redis.call('HSET', KEYS[1], 'answer', ARGV[2], 'outcome', ARGV[3], 'story', ARGV[4], 'answered', now)
if ARGV[8] == '' then
  redis.call('HDEL', KEYS[1], 'owner', 'lease')
else
  if ARGV[9] ~= '' then
    redis.call('HSET', KEYS[1], 'owner', ARGV[9], 'lease', now + tonumber(ARGV[10]))
  end
  redis.call('ZADD', KEYS[4], now + tonumber(ARGV[10]), ARGV[8])
  redis.call('PEXPIRE', KEYS[4], retention)
end
redis.call('PEXPIRE', KEYS[1], retention)
if ARGV[6] ~= '' then
  redis.call('XADD', KEYS[3], 'MINID', '~', now - retention, '*', 'message', ARGV[1], 'cause', ARGV[6])
  redis.call('PEXPIRE', KEYS[3], retention)
end
if KEYS[6] then
  keep_talk(KEYS[6], ARGV[1], ARGV[15], ARGV[16], ARGV[17], now, ARGV[8] ~= '')
end
if redis.call('HDEL', KEYS[1], 'awaited') == 1 then
  redis.call('PUBLISH', ARGV[7], ARGV[1])
end
return {1}
