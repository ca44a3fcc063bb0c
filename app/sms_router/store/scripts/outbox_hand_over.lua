-- Gives unfinished work back at once: its worker stops. That was no failed attempt.
-- KEYS: record, outbox   ARGV: entry, owner, kind
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'lease', 0)
if tonumber(redis.call('HGET', KEYS[1], ARGV[3] .. ':attempts') or 0) > 0 then
  redis.call('HINCRBY', KEYS[1], ARGV[3] .. ':attempts', -1)
end
local clock = redis.call('TIME')
redis.call('ZADD', KEYS[2], clock[1] * 1000 + math.floor(clock[2] / 1000), ARGV[1])
return 1
