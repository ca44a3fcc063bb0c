-- Writes down how a message left, or why not. Run again, it changes nothing. Where it was taken for lost
-- meanwhile (the clock was set forward), that dead letter goes.
-- KEYS: record, outbox, dead letters
-- ARGV: entry, reference, name, state, outgoing sid or "", what our receipts call it, retention ms, cause or "",
--       entry, name and state of the message that is sent in its place, or ""
redis.call('ZREM', KEYS[2], ARGV[1])
local field = 'send:' .. ARGV[3]
local known = redis.call('HGET', KEYS[1], field)
if known == ARGV[4] or redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
local dead = known and cjson.decode(known).dead
if dead then
  redis.call('XDEL', KEYS[3], dead)
end
redis.call('HSET', KEYS[1], field, ARGV[4])
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], 'sent:' .. ARGV[5], ARGV[6])
end
if ARGV[8] ~= '' then
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  redis.call('XADD', KEYS[3], 'MINID', '~', now - tonumber(ARGV[7]), '*', 'message', ARGV[2], 'cause',
    ARGV[3] .. ': ' .. ARGV[8])
  redis.call('PEXPIRE', KEYS[3], ARGV[7])
end
if ARGV[9] ~= '' and redis.call('HSETNX', KEYS[1], 'send:' .. ARGV[10], ARGV[11]) == 1 then
  redis.call('ZADD', KEYS[2], 0, ARGV[9])
  redis.call('PEXPIRE', KEYS[2], ARGV[7])
end
return 1
