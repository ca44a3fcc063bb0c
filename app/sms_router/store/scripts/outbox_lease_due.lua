-- Leases what is due from one bucket's outbox, and returns it. An entry whose worker is lost becomes due again
-- when the lease ends. An entry that is due later than any waits dates from before Redis' clock was set back: it
-- becomes due when a lease would end.
local outbox = unpack(KEYS)
local lease_ms, count, max_wait_ms = unpack(ARGV)
--- @include "now"
local due = redis.call('ZRANGEBYSCORE', outbox, '-inf', now, 'LIMIT', 0, count)
for _, entry in ipairs(due) do
  redis.call('ZADD', outbox, now + lease_ms, entry)
end
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', outbox, now + max_wait_ms, '+inf', 'LIMIT', 0, count)) do
  redis.call('ZADD', outbox, now + lease_ms, entry)
end
return due
