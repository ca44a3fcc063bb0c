-- Journals a message of Twilio's log whose webhook never came, as a dead letter; or, with an answer, answers it, and
-- with work (an outbox entry) has its handler run, whose reply leaves by REST. A later webhook gets that answer.
-- Returns 0, and changes nothing, where a webhook has come, or the message is answered or replayed; 1 where it is answered now;
-- 2 where it is journaled now, 3 where it was before.
local message, journal, dead_letters, outbox = unpack(KEYS)
local reference, request, received, retention_ms, cause, answer, outcome, trail, work = unpack(ARGV)
--- @include "append"
local stored_request, stored_answer, missed, lease_until, abandoned, replayed = unpack(redis.call('HMGET',
  message, 'request', 'answer', 'missed', 'lease_until', 'abandoned', 'replay:requested'))
if stored_answer or replayed or (stored_request and not missed) or tonumber(lease_until or 0) > now then
  return 0
end
if not stored_request then
  redis.call('HSET', message, 'request', request, 'received', received, 'missed', 1)
  --- @include "journal"
end
if answer == '' then
  if abandoned then
    return 3
  end
  redis.call('HSET', message, 'abandoned',
    append(dead_letters, now, retention_ms, 'message', reference, 'cause', cause))
  return 2
end
if abandoned then
  redis.call('XDEL', dead_letters, abandoned)
  redis.call('HDEL', message, 'abandoned')
end
redis.call('HSET', message, 'answer', answer, 'outcome', outcome, 'trail', trail, 'answered', now)
if work ~= '' then
  redis.call('ZADD', outbox, now, work)
  redis.call('PEXPIRE', outbox, retention_ms)
end
return 1
