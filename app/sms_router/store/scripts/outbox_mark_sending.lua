-- The last check before a message leaves by REST, and the mark that it is being sent, in one step. A worker that
-- finds the mark later treats the message as possibly sent, and never sends it again.
-- Returns {"go", request, document, state, fields of the contact}, {"early"}, {"busy"}, {"done"},
-- {"withdrawn", reason} or {"unknown", reason}.
local message, outbox, contact, scheduled, dead_letters = unpack(KEYS)
local entry, reference, part, document_field, max_age_ms, sending_ms, retention_ms, receipt_prefix, mark,
  lease_ms, part_before = unpack(ARGV)
--- @include "append"
--- @include "put_off"
local RETRY_MS, MAX_WAIT_FOR_REQUEST_MS = 1000, 60000
local field = 'send:' .. part
local stored, request, received, document, requested = unpack(redis.call('HMGET', message,
  field, 'request', 'received', document_field, document_field .. ':requested'))

if not stored then
  redis.call('ZREM', outbox, entry)
  if not request then
    append(dead_letters, now, retention_ms, 'message', reference, 'cause',
      part .. ': not sent, because its message is no longer stored')
  end
  return {'done'}
end
local send = cjson.decode(stored)

local function finish(state, reason, is_dead)
  send.state, send.at, send.result = state, now, reason
  redis.call('ZREM', outbox, entry)
  if is_dead then
    send.dead_letter = append(dead_letters, now, retention_ms, 'message', reference, 'cause', part .. ': ' .. reason)
  end
  redis.call('HSET', message, field, cjson.encode(send))
  return {state, reason}
end

if send.state == 'sending' then
  local due = tonumber(redis.call('ZSCORE', outbox, entry) or 0)
  if due - now > tonumber(lease_ms) then
    return {'busy'}
  end
  local reason = 'the worker that was sending it is gone; it may have been sent, and is not sent again'
  return finish('unknown', reason, true)
elseif send.state ~= 'waiting' then
  redis.call('ZREM', outbox, entry)
  return {'done'}
end

local since = send.since or tonumber(requested or received or send.at)
if now - since > tonumber(max_age_ms) then
  return finish('withdrawn', 'too late: it is older than the limit', true)
elseif not request and now - send.at > MAX_WAIT_FOR_REQUEST_MS then
  return finish('withdrawn', 'the message that it answers is not stored', false)
elseif not request or not document then
  redis.call('ZADD', outbox, now + RETRY_MS, entry)
  return {'early'}
elseif redis.call('HEXISTS', contact, ':opt-out') == 1 then
  return finish('withdrawn', 'the contact has opted out', false)
end
if part_before ~= '' then
  local before = cjson.decode(redis.call('HGET', message, 'send:' .. part_before) or '{}')
  if before.state == 'waiting' and (before.since or 0) > now then -- it was put off
    send.since = before.since
    redis.call('HSET', message, field, cjson.encode(send))
    put_off(send.since)
    return {'early'}
  elseif before.state == 'waiting' or before.state == 'sending' then
    redis.call('ZADD', outbox, now + RETRY_MS, entry)
    return {'early'}
  end
end
if send.resend_of then
  local status, delivered = unpack(redis.call('HMGET', receipt_prefix .. send.resend_of, 'status', 'delivered'))
  if status == 'delivered' or status == 'read' or delivered then
    return finish('withdrawn', 'the first message was delivered after all', false)
  end
end
send.state, send.at, send.mark = 'sending', now, mark
redis.call('HSET', message, field, cjson.encode(send))
redis.call('ZADD', outbox, now + sending_ms, entry)
return {'go', request, document, stored, redis.call('HGETALL', contact)}
