-- Stores in a field of a message what happened after its answer; with a cause it becomes a dead letter. The same
-- note again changes nothing.
local message, dead_letters = unpack(KEYS)
local reference, field, text, retention_ms, cause = unpack(ARGV)
if redis.call('HGET', message, field) == text then
  return 0
end
if redis.call('EXISTS', message) == 1 then
  redis.call('HSET', message, field, text)
end
if cause ~= '' then
  --- @include "append"
  append(dead_letters, now, retention_ms, 'message', reference, 'cause', cause)
end
return 1
