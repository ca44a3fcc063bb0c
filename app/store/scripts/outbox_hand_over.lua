-- Gives unfinished work back at once: its worker stops.
-- KEYS: record, outbox   ARGV: entry, owner
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'lease', 0)
local clock = redis.call('TIME')
redis.call('ZADD', KEYS[2], clock[1] * 1000 + math.floor(clock[2] / 1000), ARGV[1])
return 1
