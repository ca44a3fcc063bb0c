-- What the scripts that commit an answer have in common. They define the keys and arguments of commit.lua, and
-- `update_conversation()`, nil where there are no conversations.
--- @include "append"
--- @include "count_reply"
local stored_answer, abandoned, earlier = unpack(redis.call('HMGET', message, 'answer', 'abandoned', 'outcome'))
if stored_answer then
  if given ~= '' and stored_answer ~= answer and redis.call('HGET', message, 'second') ~= answer then
    redis.call('HSET', message, 'second', answer, 'second:outcome', outcome, 'second:trail', trail,
      'second:at', given)
    return {4, stored_answer, redis.call('HGET', message, 'outcome')}
  end
  return {0, stored_answer, redis.call('HGET', message, 'outcome')}
end

if redis.call('HEXISTS', message, 'request') == 0 then
  if request == '' then
    return {2}
  end
  redis.call('HSET', message, 'request', request, 'received', received, 'attempts', 1)
  append(journal, now, retention_ms, 'message', reference)
end

if max_replies ~= '' then
  local excess = count_reply(reply_count, max_replies, quiet_ms, weight, text)
  if excess > 0 and outcome ~= 'muted' then
    return {3, excess}
  end
end

if earlier == 'released' then -- its handler has failed, and is not run again
  work = ''
end
if abandoned then
  redis.call('XDEL', dead_letters, abandoned)
  redis.call('HDEL', message, 'abandoned')
end
redis.call('HSET', message, 'answer', answer, 'outcome', outcome, 'trail', trail,
  'answered', given ~= '' and given or now)
if work == '' then
  redis.call('HDEL', message, 'owner', 'lease_until')
else
  if owner ~= '' then
    redis.call('HSET', message, 'owner', owner, 'lease_until', now + lease_ms)
  end
  redis.call('ZADD', outbox, now + lease_ms, work)
  redis.call('PEXPIRE', outbox, retention_ms)
end
redis.call('PEXPIRE', message, retention_ms)
if cause ~= '' and work == '' then
  append(dead_letters, now, retention_ms, 'message', reference, 'cause', cause)
end
if update_conversation then
  update_conversation(conversation, reference, state, valid_ms, ttl_ms, timer, now, work ~= '', given)
end
if redis.call('HDEL', message, 'awaited') == 1 then
  redis.pcall('PUBLISH', channel, reference)
end
return {1}
