-- Leases a due event to a worker. Returns its request, which attempt this is, and the handlers that have returned in
-- earlier ones, or nothing where another worker has finished it.
local message, events = unpack(KEYS)
local entry, lease_ms = unpack(ARGV)
local request, done = unpack(redis.call('HMGET', message, 'request', 'event:done'))
if not request or not redis.call('ZSCORE', events, entry) then
  redis.call('ZREM', events, entry)
  return false
end
--- @include "now"
redis.call('ZADD', events, now + lease_ms, entry)
return {request, redis.call('HINCRBY', message, 'event:attempts', 1), done or ''}
