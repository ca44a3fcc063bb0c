-- Leases what is due from one bucket's outbox, and returns it. An entry whose worker is lost becomes due again
-- when the lease ends. An entry that is due later than any waits dates from before Redis' clock was set back: it
-- becomes due when a lease would end. What was scheduled for now enters the outbox, and its message the journal.
-- At most event_count events for the team's handlers come last.
local outbox, scheduled, journal, events = unpack(KEYS)
local lease_ms, count, max_wait_ms, message_prefix, retention_ms, event_count = unpack(ARGV)
--- @include "now"
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', scheduled, '-inf', now, 'LIMIT', 0, count)) do
  local reference = string.match(entry, '^%S+')
  local message = message_prefix .. reference
  redis.call('ZREM', scheduled, entry)
  redis.call('ZADD', outbox, now, entry)
  redis.call('PEXPIRE', outbox, retention_ms)
  if redis.call('HEXISTS', message, 'request') == 1 and redis.call('HSETNX', message, 'journaled', now) == 1 then
    --- @include "journal"
  end
end
local due = redis.call('ZRANGEBYSCORE', outbox, '-inf', now, 'LIMIT', 0, count)
for _, entry in ipairs(due) do
  redis.call('ZADD', outbox, now + lease_ms, entry)
end
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', outbox, now + max_wait_ms, '+inf', 'LIMIT', 0, count)) do
  redis.call('ZADD', outbox, now + lease_ms, entry)
end
if tonumber(event_count) > 0 then
  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', events, '-inf', now, 'LIMIT', 0, event_count)) do
    redis.call('ZADD', events, now + lease_ms, entry)
    table.insert(due, entry)
  end
end
return due
