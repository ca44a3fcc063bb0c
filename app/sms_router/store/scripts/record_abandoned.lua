-- Finds messages that were claimed and not answered, once their lease has been over for abandoned_ms. The
-- worker that runs this answers them. One that is returned max_tries times and still not answered, or is older than
-- max_age_ms, is a dead letter; a commit deletes it again.
-- Handles some messages at a time, from where the last run ended; workers may run it at the same time and share the
-- work. Stops at one that may still be answered. Returns the number of messages behind which the next run begins,
-- then the requests of those to be answered, and the references of the dead letters.
local journal, dead_letters, abandoned_cursor = unpack(KEYS)
local abandoned_ms, count, message_prefix, retention_ms, cause, max_tries, max_age_ms = unpack(ARGV)
--- @include "append"
local last = redis.call('GET', abandoned_cursor)
local entries = redis.call('XRANGE', journal, last and '(' .. last or '-', now - abandoned_ms, 'COUNT', count)
local handled, requests, lost = 0, {}, {}

for _, entry in ipairs(entries) do
  local reference = entry[2][2]
  local message = message_prefix .. reference
  local request, answer, outcome, lease_until, abandoned, received =
    unpack(redis.call('HMGET', message, 'request', 'answer', 'outcome', 'lease_until', 'abandoned', 'received'))
  if request and not answer and outcome ~= 'released' and not abandoned then
    if tonumber(lease_until or 0) + tonumber(abandoned_ms) > now then
      break
    end
    local is_young = now - tonumber(received or 0) <= tonumber(max_age_ms)
    if is_young and redis.call('HINCRBY', message, 'abandoned:tries', 1) <= tonumber(max_tries) then
      requests[#requests + 1] = request
    else
      redis.call('HSET', message, 'abandoned',
        append(dead_letters, now, retention_ms, 'message', reference, 'cause', cause))
      lost[#lost + 1] = reference
    end
  end
  if #requests == 0 then -- else the next run looks at it again
    handled = handled + 1
    redis.call('SET', abandoned_cursor, entry[1], 'PX', retention_ms)
  end
end
return {handled, requests, lost}
