-- Writes down what became of a message after it was answered, with a dead letter when there is a cause.
-- The same note again changes nothing.
-- KEYS: record, dead letters   ARGV: reference, field, text, retention ms, cause
if redis.call('HGET', KEYS[1], ARGV[2]) == ARGV[3] then
  return 0
end
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
end
if ARGV[5] ~= '' then
  local clock = redis.call('TIME')
  local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
  local retention = tonumber(ARGV[4])
  redis.call('XADD', KEYS[2], 'MINID', '~', now - retention, '*', 'message', ARGV[1], 'cause', ARGV[5])
  redis.call('PEXPIRE', KEYS[2], retention)
end
return 1
