-- Looks after a conversation whose timer is due. Returns its state where it has expired; with the state as `expected`
-- it ends, and the event is raised. The timer of a conversation that goes on is set again; a message that is being
-- handled comes first.
local conversation, events = unpack(KEYS)
local timer, expected, event, event_request, event_retention_ms = unpack(ARGV)
--- @include "events"
local holder, state, expires_at = unpack(redis.call('HMGET', conversation, 'holder', 'state', 'expires_at'))
if not state then
  redis.call('ZREM', events, timer)
  return false
end
local lease_until = holder and redis.call('HGET', string.match(conversation, '^[^}]*}') .. ':message:' .. holder,
  'lease_until')
if tonumber(expires_at) > now then
  redis.call('ZADD', events, expires_at, timer)
  return false
elseif tonumber(lease_until or 0) > now or state ~= expected then
  redis.call('ZADD', events, now + 1000, timer)
  return not (tonumber(lease_until or 0) > now) and state
end
redis.call('ZREM', events, timer)
redis.call('HDEL', conversation, 'state', 'expires_at', 'changed_at')
raise_event(conversation, event, event_request, now, event_retention_ms)
return state
