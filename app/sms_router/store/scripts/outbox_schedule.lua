-- Stores a message that is no reply, once for its reference, as the late reply to one that was never received. The
-- messages of its document wait in the schedule until due (ms). Returns 1, or 0 where it is stored. It replaces one that
-- was cancelled.
-- Where this is run again, delay_ms is left to a worker that has sent one of them, and stores that again; given is when
-- it ran, or "" for now.
local message, scheduled = unpack(KEYS)
local reference, document, trail, reason, entry_suffix, count, due, retention_ms, request, empty_answer,
  delay_ms, given = unpack(ARGV)
if redis.call('HEXISTS', message, 'request') == 1 then
  local cancelled = tonumber(redis.call('HGET', message, 'cancelled'))
  if not cancelled or cancelled >= (tonumber(given) or math.huge) then
    return 0
  end
  redis.call('DEL', message)
end
--- @include "now"
redis.call('HSET', message, 'request', request, 'received', now, 'attempts', 1, 'answer', empty_answer,
  'outcome', 'late', 'answered', now, 'late', document, 'late:trail', trail, 'late:at', now)
due = math.max(tonumber(due), now + delay_ms)
local ttl = due - now + retention_ms
redis.call('PEXPIRE', message, ttl)
for number = 0, tonumber(count) - 1 do
  local part = 'late.' .. number
  if redis.call('HSETNX', message, 'send:' .. part,
    cjson.encode({state = 'waiting', at = now, reason = reason, since = due})) == 1 then
    redis.call('ZADD', scheduled, due, reference .. ' ' .. part .. entry_suffix)
  end
end
redis.call('PEXPIRE', scheduled, math.max(ttl, redis.call('PTTL', scheduled)))
return 1
