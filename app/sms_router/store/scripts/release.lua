-- Gives up the claim on a message whose handler failed, so that Twilio's fallback request takes it over at once.
-- A message that is not stored is stored. Run again, it changes nothing.
local message, journal, dead_letters = unpack(KEYS)
local reference, trail, retention_ms, cause, channel, request, received = unpack(ARGV)
local answer, outcome, stored_request = unpack(redis.call('HMGET', message, 'answer', 'outcome', 'request'))
if answer or outcome == 'released' then
  return 0
end
--- @include "append"
append(dead_letters, now, retention_ms, 'message', reference, 'cause', cause)
if not stored_request then
  redis.call('HSET', message, 'request', request, 'received', received, 'attempts', 1)
  append(journal, now, retention_ms, 'message', reference)
end
redis.call('HSET', message, 'outcome', 'released', 'trail', trail, 'lease_until', 0)
redis.call('HDEL', message, 'owner') -- a renewal that is under way finds nothing to renew
redis.call('PEXPIRE', message, retention_ms)
if redis.call('HDEL', message, 'awaited') == 1 then
  redis.pcall('PUBLISH', channel, reference)
end
return 1
