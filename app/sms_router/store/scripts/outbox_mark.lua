-- The last look before a message leaves by REST, and the mark that it is leaving, in one step. Whoever finds
-- the mark later knows that it may have left, and never sends it again.
-- KEYS: record, outbox, person, dead letters
-- ARGV: entry, reference, name, document field, ms after which nobody waits any more, ms to hold it,
--       retention ms, how the keys of this account's receipts begin, what the mark is called,
--       ms that an entry is held which was taken and not marked, name of the message before it or ""
-- Returns {"go", request, document, state, known}, {"early"}, {"busy"}, {"over"}, {"withdrawn", why} or
-- {"unknown", why}.
local field = 'send:' .. ARGV[3]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local record = redis.call('HMGET', KEYS[1], field, 'request', 'received', ARGV[4], ARGV[4] .. ':asked')

if not record[1] then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return {'over'}
end
local sent = cjson.decode(record[1])

local function ended(state, why, dead)
  sent.state, sent.at, sent.result = state, now, why
  redis.call('ZREM', KEYS[2], ARGV[1])
  if dead then
    sent.dead = redis.call('XADD', KEYS[4], 'MINID', '~', now - tonumber(ARGV[7]), '*', 'message', ARGV[2],
      'cause', ARGV[3] .. ': ' .. why)
    redis.call('PEXPIRE', KEYS[4], ARGV[7])
  end
  redis.call('HSET', KEYS[1], field, cjson.encode(sent))
  return {state, why}
end

if sent.state == 'sending' then
  local due = tonumber(redis.call('ZSCORE', KEYS[2], ARGV[1]) or 0)
  if due - now > tonumber(ARGV[10]) then
    return {'busy'}
  end
  return ended('unknown', 'the worker that was sending it is gone; it may have left, and is not sent again', true)
elseif sent.state ~= 'waiting' then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return {'over'}
end

local since = sent.since or tonumber(record[5] or record[3] or sent.at)
if now - since > tonumber(ARGV[5]) then
  return ended('withdrawn', 'too late: nobody waits for it any more', true)
elseif not record[2] and now - sent.at > 60000 then
  return ended('withdrawn', 'what it answers is not known', false)
elseif not record[2] or not record[4] then
  redis.call('ZADD', KEYS[2], now + 1000, ARGV[1])
  return {'early'}
elseif redis.call('HEXISTS', KEYS[3], 'out') == 1 then
  return ended('withdrawn', 'the person has opted out', false)
end
if ARGV[11] ~= '' then
  local before = cjson.decode(redis.call('HGET', KEYS[1], 'send:' .. ARGV[11]) or '{}')
  if before.state == 'waiting' or before.state == 'sending' then
    redis.call('ZADD', KEYS[2], now + 1000, ARGV[1])
    return {'early'}
  end
end
if sent.repeats then
  local receipt = redis.call('HMGET', ARGV[8] .. sent.repeats, 'status', 'arrived')
  if receipt[1] == 'delivered' or receipt[1] == 'read' or receipt[2] then
    return ended('withdrawn', 'the first one has arrived after all', false)
  end
end
sent.state, sent.at, sent.mark = 'sending', now, ARGV[9]
redis.call('HSET', KEYS[1], field, cjson.encode(sent))
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[6]), ARGV[1])
return {'go', record[2], record[4], record[1], redis.call('HGETALL', KEYS[3])}
