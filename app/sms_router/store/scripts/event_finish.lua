-- Ends an attempt to handle an event: without a cause its handlers have returned, and it is deleted. With a delay it
-- is handled again by those that are not among `done`; with delay_ms "" it is a dead letter.
local message, events, journal, dead_letters = unpack(KEYS)
local entry, reference, cause, done, delay_ms, retention_ms = unpack(ARGV)
if not redis.call('ZSCORE', events, entry) then
  return 0
end
--- @include "events"
if cause ~= '' and delay_ms ~= '' then
  redis.call('HSET', message, 'event:done', done)
  redis.call('ZADD', events, now + delay_ms, entry)
  return 1
end
redis.call('ZREM', events, entry)
if cause == '' then
  redis.call('DEL', message)
else
  fail_event(message, journal, dead_letters, reference, cause, now, retention_ms)
end
return 1
