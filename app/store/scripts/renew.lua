-- Renews a lease, while it is still ours.
-- KEYS: record   ARGV: owner, lease ms
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
  return 0
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('HSET', KEYS[1], 'lease', now + tonumber(ARGV[2]))
return 1
