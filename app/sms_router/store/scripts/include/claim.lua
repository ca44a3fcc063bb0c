-- What the scripts that claim a message have in common. They define the keys and arguments of claim.lua, `now`,
-- and `conversation` and `store_prepared_answer`, nil where the script has none.
lease_ms, retention_ms = tonumber(lease_ms), tonumber(retention_ms)
local locked, state, state_ms

-- Adds what is stored of the contact to a result, if there is anything.
local function with_contact(result)
  local fields = redis.call('HGETALL', contact)
  if #fields > 0 or state then
    result[3], result[4], result[5] = fields, state, state_ms
  end
  return result
end

local stored_answer, stored_outcome, lease_until, stored_request, attempts =
  unpack(redis.call('HMGET', message, 'answer', 'outcome', 'lease_until', 'request', 'attempts'))

if stored_answer then
  return {'answered', stored_answer, stored_outcome}
end

if not stored_request then
  if conversation then
    locked, state, state_ms = lock_conversation(conversation, message, reference, lease_ms)
    if locked then
      return locked
    end
  end
  local is_answered = store_prepared_answer and store_prepared_answer()
  if not is_answered then
    redis.call('HSET', message, 'request', request, 'received', now, 'owner', owner,
      'lease_until', now + lease_ms, 'attempts', 1)
  end
  redis.call('PEXPIRE', message, retention_ms)
  redis.call('XADD', journal, 'MINID', '~', now - retention_ms, '*', 'message', reference)
  redis.call('PEXPIRE', journal, retention_ms)
  return is_answered and {'stored'} or with_contact({'claimed', 1})
end

-- The handler failed and Twilio was told so: only its fallback request may be answered now.
if stored_outcome == 'released' and is_fallback ~= '1' then
  return {'released'}
end

local remaining_ms = tonumber(lease_until or 0) - now
if remaining_ms > lease_ms then -- the lease dates from before Redis' clock was set back
  remaining_ms = lease_ms
  redis.call('HSET', message, 'lease_until', now + lease_ms)
end
if remaining_ms > 0 then
  redis.call('HSET', message, 'awaited', 1)
  return with_contact({'in_progress', remaining_ms})
end

if conversation then
  locked, state, state_ms = lock_conversation(conversation, message, reference, lease_ms)
  if locked then
    return locked
  end
end

attempts = tonumber(attempts or 0) + 1
redis.call('HSET', message, 'owner', owner, 'lease_until', now + lease_ms, 'attempts', attempts)
return with_contact({'claimed', attempts})
