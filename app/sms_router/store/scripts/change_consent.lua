-- Puts a contact on the opt-out list or takes them off it. The latest request holds, in whatever order they
-- arrive; the list shows the first of several opt-outs. An opt-out does not expire; the contact's other fields do.
-- A START is recorded in `consent` also where no opt-out is known: it is the only proof that a copy of an older
-- STOP, which is written back after Redis has lost its data, no longer holds.
-- The entry is kept in the contact's ledger, whatever comes of the request; with entry_id "" there is none.
-- A time in the future comes from a clock that was wrong: it is no reason against an opt-out, and an opt-in
-- counts where it is newer than a minute.
-- Where the contact came onto the list or left it, the event is raised (include/events.lua).
-- Returns {1 when the contact came onto the list or left it, 1 when they are on it, the time of the request that
-- holds}; a change is published with that time.
local contact, consent, opt_outs, message, consents = unpack(KEYS)
local request, source, requested_at, ttl_ms, consent_ttl_ms, member, channel, entry_id, entry, event, event_request,
  event_retention_ms = unpack(ARGV)
--- @include "now"
--- @include "append"
--- @include "events"
--- @include "ledger"
--- @include "extend_contact"
local MINUTE = 60000
local at = math.min(tonumber(redis.call('HGET', message, 'received') or requested_at), now)
local latest, since, first_source = string.match(redis.call('HGET', contact, ':opt-out') or '', '^(%d+) (%d+) (.*)$')
latest, since = tonumber(latest or 0), tonumber(since or 0)
local opted_in = tonumber(redis.call('HGET', consent, 'opt-in') or 0)
if opted_in > now then
  opted_in = 0
end
if latest > now then
  latest = now - MINUTE
end
if entry_id == '' and tonumber(requested_at) > now then -- a router's copy, with such a time
  at = now - MINUTE
end

if request == 'stop' then
  if at <= opted_in then
    record(consent, consents, member, channel, 'note', at, entry_id, entry)
    return {0, latest > 0 and 1 or 0, math.max(latest, opted_in)}
  end
  if latest == 0 or at < since or (at == since and source > first_source) then
    since, first_source = at, source
  end
  local newest = math.max(latest, at)
  redis.call('HSET', contact, ':opt-out', string.format('%.0f %.0f ', newest, since) .. first_source)
  redis.call('PERSIST', contact)
  redis.call('ZADD', opt_outs, string.format('%.0f', since), member)
  redis.call('PERSIST', consent)
  record(consent, consents, member, channel, latest == 0 and 'stop' or 'note', at, entry_id, entry)
  if latest == 0 then
    raise_event(contact, event, event_request, now, event_retention_ms)
  end
  return {latest == 0 and 1 or 0, 1, newest}
end

if at > opted_in then
  redis.call('HSET', consent, 'opt-in', string.format('%.0f', at))
end
local ends_opt_out = latest ~= 0 and at >= latest
record(consent, consents, member, channel, ends_opt_out and 'start' or 'note', at, entry_id, entry)
if latest ~= 0 and not ends_opt_out then
  return {0, 1, latest}
end
redis.call('PEXPIRE', consent, consent_ttl_ms)
if latest == 0 then
  return {0, 0, math.max(at, opted_in)}
end
redis.call('HDEL', contact, ':opt-out')
extend_contact(contact, ttl_ms)
redis.call('ZREM', opt_outs, member)
raise_event(contact, event, event_request, now, event_retention_ms)
return {1, 0, at}
