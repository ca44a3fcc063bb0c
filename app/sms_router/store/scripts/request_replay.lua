-- Requests that a message is answered once more, by the router that polls the outbox next. While anything of an
-- earlier replay may have left it is refused; what is left of a replay that sent nothing is deleted.
-- accept_unknown is "1" where an answer that may have left is no reason against it.
-- Returns {"requested"}, or why not: {"gone"}, {"unanswered"}, {"opted out"}, {"leaving"}, {"left"}, {"unknown"} or
-- {"already", since when}.
local message, outbox, contact = unpack(KEYS)
local entry, late_entry, retention_ms, answer_timeout_ms, accept_unknown = unpack(ARGV)
local request, answer, received, outcome, bodies_removed, requested, document, failed =
  unpack(redis.call('HMGET', message, 'request', 'answer', 'received', 'outcome', 'bodies:removed',
    'replay:requested', 'replay', 'replay:failed'))
if not request or bodies_removed then
  return {'gone'}
end
--- @include "now"
if not answer and now - tonumber(received) < tonumber(answer_timeout_ms) then
  return {'unanswered'}
elseif redis.call('HEXISTS', contact, ':opt-out') == 1 and not string.find(request, '&Event=', 1, true) then
  return {'opted out'}
elseif redis.call('ZSCORE', outbox, late_entry) then
  return {'leaving'}
elseif requested and redis.call('ZSCORE', outbox, entry) then
  return {'already', requested}
end

local obsolete = {'replay:requested', 'replay:attempts', 'replay', 'replay:trail', 'replay:at', 'replay:failed',
  'replay:dead_letter'}
local replayed_parts = 0
local fields = redis.call('HGETALL', message)
for index = 1, #fields, 2 do
  local part = string.match(fields[index], '^send:(.*)$')
  if part then
    local state = cjson.decode(fields[index + 1]).state
    if string.sub(part, 1, 7) == 'replay.' then
      if state ~= 'withdrawn' and state ~= 'refused' then
        return {'already', requested}
      end
      replayed_parts = replayed_parts + 1
      obsolete[#obsolete + 1] = fields[index]
    elseif state == 'waiting' or state == 'sending' then
      return {'leaving'}
    elseif string.sub(part, 1, 5) == 'late.' or outcome == 'reply' then
      if state == 'sent' then
        return {'left'}
      elseif state == 'unknown' and accept_unknown ~= '1' then
        return {'unknown'}
      end
    end
  end
end
if document and replayed_parts == 0 and not failed then
  return {'already', requested}
end

redis.call('HDEL', message, unpack(obsolete))
redis.call('HSET', message, 'replay:requested', now)
redis.call('ZADD', outbox, now, entry)
redis.call('PEXPIRE', outbox, retention_ms)
return {'requested'}
