-- Writes down what became of a message after it was answered, with a dead letter when there is a cause.
-- KEYS: record, dead letters   ARGV: reference, field, text, retention ms, cause
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
end
if ARGV[5] ~= '' then
  redis.call('XADD', KEYS[2], 'MINID', '~', now - tonumber(ARGV[4]), '*', 'message', ARGV[1], 'cause', ARGV[5])
end
return 1
