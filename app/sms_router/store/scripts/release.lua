-- Gives a failed message back, so that Twilio's fallback request takes it over at once. A record that
-- is not there is made; run again, it changes nothing.
-- KEYS: record, journal, dead letters
-- ARGV: reference, story, retention ms, cause, channel, request, received ms
local record = redis.call('HMGET', KEYS[1], 'answer', 'outcome', 'request')
if record[1] or record[2] == 'released' then
  return 0
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local retention = tonumber(ARGV[3])
redis.call('XADD', KEYS[3], 'MINID', '~', now - retention, '*', 'message', ARGV[1], 'cause', ARGV[4])
redis.call('PEXPIRE', KEYS[3], retention)
if not record[3] then
  redis.call('HSET', KEYS[1], 'request', ARGV[6], 'received', ARGV[7], 'attempts', 1)
  redis.call('XADD', KEYS[2], 'MINID', '~', now - retention, '*', 'message', ARGV[1])
  redis.call('PEXPIRE', KEYS[2], retention)
end
redis.call('HSET', KEYS[1], 'outcome', 'released', 'story', ARGV[2], 'lease', 0)
redis.call('PEXPIRE', KEYS[1], retention)
if redis.call('HDEL', KEYS[1], 'awaited') == 1 then
  redis.call('PUBLISH', ARGV[5], ARGV[1])
end
return 1
