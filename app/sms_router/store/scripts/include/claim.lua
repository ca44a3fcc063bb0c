-- What the scripts that claim a message have in common. They define the keys and arguments of claim.lua, `now`,
-- what read_message.lua reads, and `conversation`, nil where the script has none.
lease_ms = tonumber(lease_ms)
local locked, state, state_ms

-- Adds what is stored of the contact to a result, if there is anything.
local function with_contact(result, contact, state, state_ms)
  local fields = redis.call('HGETALL', contact)
  if #fields > 0 or state then
    result[3], result[4], result[5] = fields, state, state_ms
  end
  return result
end

if stored_answer then
  return {'answered', stored_answer, stored_outcome}
end

if not stored_request then
  if conversation then
    locked, state, state_ms = lock_conversation(conversation, message, reference, lease_ms, now)
    if locked then
      return locked
    end
  end
  redis.call('HSET', message, 'request', request, 'received', received, 'owner', owner,
    'lease_until', now + lease_ms, 'attempts', 1)
  --- @include "journal"
  return with_contact({'claimed', 1}, contact, state, state_ms)
end

-- The handler failed, and the response was an error: only Twilio's fallback request may be answered now.
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
  return with_contact({'in_progress', remaining_ms}, contact)
end

if conversation then
  locked, state, state_ms = lock_conversation(conversation, message, reference, lease_ms, now)
  if locked then
    return locked
  end
end

attempts = tonumber(attempts or 0) + 1
redis.call('HSET', message, 'owner', owner, 'lease_until', now + lease_ms, 'attempts', attempts)
return with_contact({'claimed', attempts}, contact, state, state_ms)
