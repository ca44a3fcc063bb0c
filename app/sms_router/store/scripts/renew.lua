-- Renews a lease, while it is still ours. Returns 1, 0 when it is another's or given back, and -1 when nothing
-- is known of the message: our claim may wait in the spool.
-- KEYS: record   ARGV: owner, lease ms
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then
  return redis.call('HEXISTS', KEYS[1], 'request') == 1 and 0 or -1
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('HSET', KEYS[1], 'lease', now + tonumber(ARGV[2]))
return 1
