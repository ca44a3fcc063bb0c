-- What the scripts that fill the outbox have in common. They define the keys and arguments of
-- outbox_enqueue.lua, and `update_conversation()`, nil where there are no conversations.
--- @include "append"
local is_stored = redis.call('HEXISTS', message, 'request') == 1
if redis.call('HEXISTS', message, kind) == 1 or not is_stored and request == '' then
  redis.call('ZREM', outbox, work)
  if not is_stored then
    append(dead_letters, now, retention_ms, 'message', reference, 'cause',
      kind .. ': not sent, because its message is no longer stored')
  end
  return 0
end
if not is_stored then
  redis.call('HSET', message, 'request', request, 'received', received, 'attempts', 1)
  append(journal, now, retention_ms, 'message', reference)
end
if request ~= '' and redis.call('HEXISTS', message, 'answer') == 0 then
  redis.call('HSET', message, 'answer', empty_answer, 'outcome', 'late', 'answered', now)
  redis.call('PEXPIRE', message, retention_ms)
end
if kind == 'late' and tonumber(count) > 0 and redis.call('HGET', message, 'outcome') == 'reply' then
  count, cause = 0, 'answered after another worker did, not sent'
end
redis.call('HSET', message, kind, document, kind .. ':trail', trail, kind .. ':at', now)
if cause ~= '' and tonumber(count) == 0 then
  redis.call('HSET', message, kind .. ':failed', cause)
end
local dead_letter = redis.call('HGET', message, kind .. ':dead_letter')
if dead_letter then
  redis.call('XDEL', dead_letters, dead_letter)
end
redis.call('HDEL', message, 'owner', 'lease_until', kind .. ':dead_letter')
redis.call('ZREM', outbox, work)
for number = 0, tonumber(count) - 1 do
  local part = kind .. '.' .. number
  if redis.call('HSETNX', message, 'send:' .. part,
    cjson.encode({state = 'waiting', at = now, reason = reason, since = tonumber(since)})) == 1 then
    redis.call('ZADD', outbox, now + delay_ms, reference .. ' ' .. part .. entry_suffix)
    redis.call('PEXPIRE', outbox, retention_ms)
  end
end
if update_conversation then
  update_conversation(conversation, reference, state, valid_ms, ttl_ms, timer, now, false, enqueued_at)
end
if cause ~= '' then
  append(dead_letters, now, retention_ms, 'message', reference, 'cause', cause)
end
return 1
