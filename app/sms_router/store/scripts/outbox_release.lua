-- Gives unfinished work back at once, because its worker stops. It does not count as a failed attempt.
local message, outbox = unpack(KEYS)
local entry, owner, kind = unpack(ARGV)
if redis.call('HGET', message, 'owner') ~= owner then
  return 0
end
redis.call('HSET', message, 'lease_until', 0)
if tonumber(redis.call('HGET', message, kind .. ':attempts') or 0) > 0 then
  redis.call('HINCRBY', message, kind .. ':attempts', -1)
end
--- @include "now"
redis.call('ZADD', outbox, now, entry)
return 1
