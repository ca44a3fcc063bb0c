-- Stores again what became of a message of the outbox, where Redis has lost it. What is stored counts, but a result
-- replaces the mark of a message that is being sent, and both replace a message that waits. The message that it
-- answers may be restored later.
-- due_ms is when a worker looks at the entry, or "" where the message is finished; the rest is as in
-- outbox_record_result.lua.
local message, outbox, dead_letters = unpack(KEYS)
local entry, reference, part, send, sid, reply_reference, retention_ms, cause, due_ms = unpack(ARGV)
local field = 'send:' .. part
local stored = redis.call('HGET', message, field)
local stored_state = stored and cjson.decode(stored).state
if stored and stored_state ~= 'waiting' and not (stored_state == 'sending' and due_ms == '') then
  return 0
end
if stored and cjson.decode(send).state == 'waiting' then
  return 0
end
--- @include "append"
redis.call('HSET', message, field, send)
if sid ~= '' then
  redis.call('HSET', message, 'sent:' .. sid, reply_reference)
end
if redis.call('PTTL', message) < 0 then
  redis.call('PEXPIRE', message, retention_ms)
end
if cause ~= '' then
  append(dead_letters, now, retention_ms, 'message', reference, 'cause', part .. ': ' .. cause)
end
if due_ms == '' then
  redis.call('ZREM', outbox, entry)
else
  redis.call('ZADD', outbox, now + due_ms, entry)
  redis.call('PEXPIRE', outbox, retention_ms)
end
return 1
