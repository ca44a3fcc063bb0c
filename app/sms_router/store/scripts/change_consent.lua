-- Puts a contact on the opt-out list or takes them off it. The latest request holds, in whatever order they
-- arrive; the list shows the first of several opt-outs. An opt-out does not expire; the contact's other fields do.
-- A START is recorded in `consent` also where no opt-out is known: it is the only proof that a copy of an older
-- STOP, which is written back after Redis has lost its data, no longer holds.
-- The entry is kept in the contact's ledger, whatever comes of the request; with entry_id "" there is none.
-- Requests are compared by their times. A time in the future comes from a clock that was wrong: it is no reason
-- against an opt-out, and an opt-in counts where it is newer than a minute.
-- Copies of the list compare changes by their order alone, and of a START and a STOP with the same order the START
-- holds. It is the time, or a later one (a hybrid logical clock): what holds gets an order beyond that of what does
-- not. A router gives a STOP an order after its time where its copy has a START with a time in the future, which the
-- STOP came after. Without requested_at a router's copy is written back.
-- Where the contact came onto the list or left it, the event is raised (include/events.lua).
-- Returns {1 when the contact came onto the list or left it, 1 when they are on it, the order of what holds}; a change
-- is published with that order.
local contact, consent, opt_outs, message, consents = unpack(KEYS)
local request, source, order, requested_at, ttl_ms, consent_ttl_ms, member, channel, entry_id, entry, event,
  event_request, event_retention_ms = unpack(ARGV)
--- @include "events"
--- @include "ledger"
--- @include "extend_contact"
local MINUTE = 60000
local is_copy = requested_at == ''
local is_ordered = is_copy or tonumber(order) > tonumber(requested_at)
order = tonumber(order)
local at = is_copy and order or math.min(tonumber(redis.call('HGET', message, 'received') or requested_at), now)
local newest, since, latest, first_source = string.match(redis.call('HGET', contact, ':opt-out') or '',
  '^(%d+) (%d+) (%d+) (.*)$')
local newest_start, opted_in = string.match(redis.call('HGET', consent, 'opt-in') or '', '^(%d+) (%d+)$')
newest = math.max(tonumber(newest or 0), tonumber(newest_start or 0))
order = math.max(order, at)
since, latest, opted_in = tonumber(since or 0), tonumber(latest or 0), tonumber(opted_in or 0)
if opted_in > now then
  opted_in = 0
end
if latest > now then
  latest = now - MINUTE
end
local was_out = latest > 0

local function store_opt_out()
  redis.call('HSET', contact, ':opt-out', string.format('%.0f %.0f %.0f ', newest, since, latest) .. first_source)
end

if request == 'stop' then
  local holds = (is_ordered and order > newest) or (at > opted_in and (was_out or not is_copy))
  if not holds then
    record(consent, consents, member, channel, 'note', order, at, entry_id, entry)
    if order > newest and not was_out then
      redis.call('HSET', consent, 'opt-in', string.format('%.0f %.0f', order, opted_in))
    end
    return {0, was_out and 1 or 0, math.max(newest, order)}
  end
  if not was_out or at < since or (at == since and source > first_source) then
    since, first_source = math.min(at, now), source
  end
  newest, latest = math.max(order, was_out and newest or newest + 1), math.max(latest, at)
  store_opt_out()
  redis.call('PERSIST', contact)
  redis.call('ZADD', opt_outs, string.format('%.0f', newest > now and newest or since), member)
  redis.call('PERSIST', consent)
  record(consent, consents, member, channel, was_out and 'note' or 'stop', newest, at, entry_id, entry)
  if not was_out then
    raise_event(contact, event, event_request, now, event_retention_ms)
  end
  return {was_out and 0 or 1, 1, newest}
end

local holds = not was_out or (not is_copy and at >= latest)
  or (is_copy and order >= newest and (order <= now + MINUTE or newest > now))
newest = math.max(newest, holds and order or order + 1)
redis.call('HSET', consent, 'opt-in', string.format('%.0f %.0f', holds and newest or order, math.max(at, opted_in)))
record(consent, consents, member, channel, was_out and holds and 'start' or 'note', newest, at, entry_id, entry)
if not holds then
  store_opt_out()
  return {0, 1, newest}
end
redis.call('PEXPIRE', consent, consent_ttl_ms)
if not was_out then
  return {0, 0, newest}
end
redis.call('HDEL', contact, ':opt-out')
extend_contact(contact, ttl_ms)
redis.call('ZREM', opt_outs, member)
raise_event(contact, event, event_request, now, event_retention_ms)
return {1, 0, newest}
