-- Gives a failed message back, so that Twilio's fallback request takes it over at once.
-- KEYS: record, dead letters
-- ARGV: reference, detail, retention ms, cause, channel
if redis.call('HEXISTS', KEYS[1], 'answer') == 1 then
  return 0
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('HSET', KEYS[1], 'outcome', 'released', 'detail', ARGV[2], 'lease', 0)
redis.call('XADD', KEYS[2], 'MINID', '~', now - tonumber(ARGV[3]), '*', 'message', ARGV[1], 'cause', ARGV[4])
if redis.call('HDEL', KEYS[1], 'awaited') == 1 then
  redis.call('PUBLISH', ARGV[5], ARGV[1])
end
return 1
