-- Puts the messages of one document into the outbox, once however often it is asked for, and ends the work
-- that made it. A record that has expired takes nothing any more. Where the work was given up meanwhile (the
-- clock was set forward), that dead letter goes.
-- KEYS: record, outbox, dead letters, and the conversation where there are any
-- ARGV: reference, kind ("late", "replay"), document, story, why, entry of the work, entry of the messages
--       up to their number, messages, retention ms, cause ("" unless it is a dead letter as well),
--       what is kept of the conversation (`keep_talk`), ms that it lasts, ms until it is forgotten,
--       ms since when somebody waits for it, or "" (since its message was received)
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], ARGV[2]) == 1 then
  redis.call('ZREM', KEYS[2], ARGV[6])
  return 0
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3], ARGV[2] .. ':story', ARGV[4], ARGV[2] .. ':at', now)
if ARGV[10] ~= '' and tonumber(ARGV[8]) == 0 then
  redis.call('HSET', KEYS[1], ARGV[2] .. ':failed', ARGV[10])
end
local dead = redis.call('HGET', KEYS[1], ARGV[2] .. ':dead')
if dead then
  redis.call('XDEL', KEYS[3], dead)
end
redis.call('HDEL', KEYS[1], 'owner', 'lease', ARGV[2] .. ':dead')
redis.call('ZREM', KEYS[2], ARGV[6])
for number = 0, tonumber(ARGV[8]) - 1 do
  local name = ARGV[2] .. '.' .. number
  redis.call('HSET', KEYS[1], 'send:' .. name, cjson.encode({state = 'waiting', at = now, why = ARGV[5],
    since = tonumber(ARGV[14] or '')}))
  redis.call('ZADD', KEYS[2], now, ARGV[1] .. ' ' .. name .. ARGV[7])
  redis.call('PEXPIRE', KEYS[2], ARGV[9])
end
if KEYS[4] then
  keep_talk(KEYS[4], ARGV[1], ARGV[11], ARGV[12], ARGV[13], now, false)
end
if ARGV[10] ~= '' then
  redis.call('XADD', KEYS[3], 'MINID', '~', now - tonumber(ARGV[9]), '*', 'message', ARGV[1], 'cause', ARGV[10])
  redis.call('PEXPIRE', KEYS[3], ARGV[9])
end
return 1
