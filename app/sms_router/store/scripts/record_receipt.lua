-- Stores the status of an outgoing message. Only a status of a higher rank is new, in whatever order they arrive.
-- A new one may be evidence of whether its sender reaches the contact; it counts by when the answered message came
-- in, so that the result is the same in every order, and once for each message however often it is reported.
-- A message that failed for its sender is put into the outbox again, once, as soon as the sender is believed not to
-- reach the contact.
--
-- message is the one that was answered, or the receipt again. evidence is "failed", "delivered" or ""; it dates from
-- received_at where the message does not tell. Failures count for max_failure_age_ms before the newest one, and
-- failure_threshold of them are believed. has_alternatives is "1" where the sender was chosen among equals. With
-- resend_part "" nothing is sent again; with cause "" the message is no dead letter.
-- Returns 0 where nothing is new, 1 where something is, and {1, failures of this sender, 1 when it is sent again}
-- for evidence of a failure. A time in the future comes from a clock that was wrong, and counts for nothing.
local receipt, message, contact, last_delivery, outbox, dead_letters = unpack(KEYS)
local status, rank, error_code, sender, reply, retention_ms, sid, evidence, received_at, contact_ttl_ms, max_failures,
  has_alternatives, resend_part, resend_entry, reason, failure_threshold, max_failure_age_ms, reference, cause,
  event, event_request = unpack(ARGV)
local stored_rank = redis.call('HGET', receipt, 'rank')
if stored_rank and tonumber(rank) <= tonumber(stored_rank) then
  if status == 'delivered' then
    redis.call('HSET', receipt, 'delivered', 1)
  end
  return 0
end
--- @include "events"
raise_event(contact, event, event_request, now, retention_ms)
redis.call('HSET', receipt, 'status', status, 'rank', rank, 'error_code', error_code, 'sender', sender,
  'reply', reply, 'at:' .. status, now)
redis.call('PEXPIRE', receipt, retention_ms)
if message ~= receipt then
  redis.call('HSET', message, 'sent:' .. sid, reply)
  if redis.call('PTTL', message) < 0 then
    redis.call('PEXPIRE', message, retention_ms)
  end
end

if cause ~= '' then
  append(dead_letters, now, retention_ms, 'message', reference, 'cause', cause)
end

local function resend()
  if resend_part == '' then
    return 0
  end
  local send = cjson.encode({state = 'waiting', at = now, reason = reason, failed_sender = sender, resend_of = sid})
  if redis.call('HSETNX', message, 'send:' .. resend_part, send) == 0 then
    return 0
  end
  withdraw_event(contact, event) -- the message is not lost yet
  redis.call('ZADD', outbox, now, resend_entry)
  redis.call('PEXPIRE', outbox, retention_ms)
  return 1
end

if evidence == '' then
  if resend_part ~= '' and tonumber(failure_threshold) == 1 then
    return {1, '', resend()}
  end
  return 1
end
local received, answer = unpack(redis.call('HMGET', message, 'received', 'answer'))
local at = tonumber(received or math.min(tonumber(received_at), now))
local moment = string.format('%.0f', at)

--- @include "extend_contact"

-- Media takes another way than text: the first part of an answer with media is evidence of nothing here.
if string.sub(reply, -2) == '.0' and string.find(answer or '', '<Media>', 1, true) then
  return {1, '', tonumber(failure_threshold) == 1 and resend() or 0}
end

if evidence == 'failed' then
  local delivered_at = tonumber(redis.call('HGET', last_delivery, sender) or 0)
  if at <= delivered_at and delivered_at <= now then
    return 1
  end
  local this = error_code .. '@' .. moment
  local failures = {this}
  for failure in string.gmatch(redis.call('HGET', contact, sender) or '', '%S+') do
    if failure ~= this then
      table.insert(failures, failure)
    end
  end
  table.sort(failures, function(a, b)
    local x, y = tonumber(string.sub(a, 7)), tonumber(string.sub(b, 7))
    return x > y or x == y and a > b
  end)
  local stored = table.concat(failures, ' ', 1, math.min(#failures, tonumber(max_failures)))
  redis.call('HSET', contact, sender, stored)
  extend_contact(contact, contact_ttl_ms)
  local count, newest = 0, nil
  for code, failed_at in string.gmatch(stored, '(%d+)@(%d+)') do
    if code == error_code then
      newest = newest or tonumber(failed_at)
      count = count + (tonumber(failed_at) > newest - tonumber(max_failure_age_ms) and 1 or 0)
    end
  end
  return {1, stored, count >= tonumber(failure_threshold) and resend() or 0}
end

-- Delivered: older failures of this sender are over, those that are reported later too.
local delivered_at = tonumber(redis.call('HGET', last_delivery, sender) or 0)
if at > delivered_at or delivered_at > now then
  redis.call('HSET', last_delivery, sender, moment)
  redis.call('PEXPIRE', last_delivery, retention_ms)
end
local newer = {}
local failures = redis.call('HGET', contact, sender) or ''
for failure in string.gmatch(failures, '%S+') do
  if tonumber(string.sub(failure, 7)) > at then
    table.insert(newer, failure)
  end
end
if #newer > 0 then
  redis.call('HSET', contact, sender, table.concat(newer, ' '))
elseif failures ~= '' then
  redis.call('HDEL', contact, sender)
end
if has_alternatives == '1' then
  local sticky, stored_at = string.match(redis.call('HGET', contact, ':sticky-sender') or '', '^(.*) (%d+)$')
  stored_at = tonumber(stored_at or 0)
  if at > stored_at or stored_at > now or (at == stored_at and sender > (sticky or '')) then
    redis.call('HSET', contact, ':sticky-sender', sender .. ' ' .. moment)
    extend_contact(contact, contact_ttl_ms)
  end
end
return 1
