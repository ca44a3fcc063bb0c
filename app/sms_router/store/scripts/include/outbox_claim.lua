-- What the scripts that claim work of the outbox have in common. They define the keys and arguments of
-- outbox_claim.lua, and `lock_conversation()`, nil where there are no conversations.
--- @include "append"
local request, lease_until, document, attempts, received, requested = unpack(redis.call('HMGET', message,
  'request', 'lease_until', kind, kind .. ':attempts', 'received', kind .. ':requested'))
if not request or document then
  redis.call('ZREM', outbox, entry)
  if not request then
    append(dead_letters, now, retention_ms, 'message', reference, 'cause',
      kind .. ': not sent, because its message is no longer stored')
  end
  return {'done'}
end

lease_until = tonumber(lease_until or 0)
if lease_until > now + lease_ms then -- the lease dates from before Redis' clock was set back
  lease_until = now + lease_ms
  redis.call('HSET', message, 'lease_until', lease_until)
end
if lease_until > now then
  redis.call('ZADD', outbox, lease_until, entry)
  return {'busy'}
end

local attempt = tonumber(attempts or 0) + 1
local failure = nil
if attempt > tonumber(max_attempts) then
  failure = 'its handler was started ' .. max_attempts .. ' times and never finished: each time its worker was lost'
elseif now - tonumber(requested or received) > tonumber(max_age_ms) then
  failure = 'too late: no worker was available in time'
end
if failure then
  redis.call('ZREM', outbox, entry)
  redis.call('HDEL', message, 'owner', 'lease_until')
  redis.call('HSET', message, kind .. ':dead_letter',
    append(dead_letters, now, retention_ms, 'message', reference, 'cause', kind .. ': ' .. failure))
  return {'abandoned', failure}
end

local locked, state, state_ms
if lock_conversation then
  locked, state, state_ms = lock_conversation(conversation, message, reference, tonumber(lease_ms), now)
  if locked then
    redis.call('ZADD', outbox, now + PLACE_MS / 2, entry)
    return {'busy'}
  end
end
redis.call('HSET', message, 'owner', owner, 'lease_until', now + lease_ms, kind .. ':attempts', attempt)
redis.call('ZADD', outbox, now + lease_ms, entry)
return {'claimed', attempt, request, redis.call('HGETALL', contact), state, state_ms}
