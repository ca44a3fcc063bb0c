-- Makes dead letters of messages that somebody claimed and nobody answered, once their lease has been over for
-- abandoned_ms. Handles some messages at a time, from where the last run ended, and stops at one that may still be
-- answered; workers may run it at the same time and share the work. A commit deletes the dead letter again.
-- Returns the number of messages handled, then the references of the abandoned ones.
local journal, dead_letters, abandoned_cursor = unpack(KEYS)
local abandoned_ms, count, message_prefix, retention_ms, cause = unpack(ARGV)
--- @include "now"
--- @include "append"
local last = redis.call('GET', abandoned_cursor)
local entries = redis.call('XRANGE', journal, last and '(' .. last or '-', now - abandoned_ms, 'COUNT', count)
local result = {0}

for _, entry in ipairs(entries) do
  local reference = entry[2][2]
  local message = message_prefix .. reference
  local request, answer, outcome, lease_until, abandoned =
    unpack(redis.call('HMGET', message, 'request', 'answer', 'outcome', 'lease_until', 'abandoned'))
  if request and not answer and outcome ~= 'released' and not abandoned then
    if tonumber(lease_until or 0) + tonumber(abandoned_ms) > now then
      return result
    end
    redis.call('HSET', message, 'abandoned',
      append(dead_letters, now, retention_ms, 'message', reference, 'cause', cause))
    result[#result + 1] = reference
  end
  result[1] = result[1] + 1
  redis.call('SET', abandoned_cursor, entry[1], 'PX', retention_ms)
end
return result
