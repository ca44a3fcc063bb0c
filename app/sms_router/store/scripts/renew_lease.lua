-- Renews the lease of a claim. Returns 1; 0 where the claim is another worker's or given up; -1 where the message
-- is not stored: its claim may wait in the spool.
local message = unpack(KEYS)
local owner, lease_ms = unpack(ARGV)
if redis.call('HGET', message, 'owner') ~= owner then
  return redis.call('HEXISTS', message, 'request') == 1 and 0 or -1
end
--- @include "now"
redis.call('HSET', message, 'lease_until', now + lease_ms)
return 1
