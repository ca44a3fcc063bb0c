-- Stores how a message left, or why not. Run again, it changes nothing. Where it was taken for lost meanwhile
-- (the clock was set forward), that dead letter is deleted.
-- sid is that of the message that left, or ""; reply_reference is what its status callbacks name; cause is ""
-- unless it is a dead letter; the resend is the message that is sent in its place, or "".
local message, outbox, dead_letters = unpack(KEYS)
local entry, reference, part, send, sid, reply_reference, retention_ms, cause,
  resend_entry, resend_part, resend = unpack(ARGV)
redis.call('ZREM', outbox, entry)
local field = 'send:' .. part
local stored = redis.call('HGET', message, field)
if stored == send or redis.call('EXISTS', message) == 0 then
  return 0
end
local dead_letter = stored and cjson.decode(stored).dead_letter
if dead_letter then
  redis.call('XDEL', dead_letters, dead_letter)
end
redis.call('HSET', message, field, send)
if sid ~= '' then
  redis.call('HSET', message, 'sent:' .. sid, reply_reference)
end
if cause ~= '' then
  --- @include "append"
  append(dead_letters, now, retention_ms, 'message', reference, 'cause', part .. ': ' .. cause)
end
if resend_entry ~= '' and redis.call('HSETNX', message, 'send:' .. resend_part, resend) == 1 then
  redis.call('ZADD', outbox, 0, resend_entry)
  redis.call('PEXPIRE', outbox, retention_ms)
end
return 1
