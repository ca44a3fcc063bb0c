-- Removes the mark from a message that Twilio has surely not seen, and has it tried again after a delay. Only
-- the mark of this call is removed, so that running it again does not send anything again. With mark "" the
-- message was not marked. With due (ms) it is scheduled again.
local message, outbox, scheduled = unpack(KEYS)
local entry, part, delay_ms, mark, due = unpack(ARGV)
local field = 'send:' .. part
local stored = redis.call('HGET', message, field)
if not stored then
  redis.call('ZREM', outbox, entry)
  return 0
end
--- @include "now"
local send = cjson.decode(stored)
if send.state == 'sending' and send.mark == mark then
  send.state, send.at, send.mark, send.tries = 'waiting', now, nil, (send.tries or 0) + 1
  send.since = tonumber(due) or send.since
  redis.call('HSET', message, field, cjson.encode(send))
elseif send.state ~= 'waiting' then
  return 0
end
if due == '' then
  redis.call('ZADD', outbox, now + delay_ms, entry)
else
  --- @include "put_off"
  put_off(tonumber(due))
end
return 1
