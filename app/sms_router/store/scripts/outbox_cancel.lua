-- Withdraws the messages of a document that still wait. Returns their number. Where these are all, another document may
-- take their place (outbox_schedule.lua).
local message, outbox, scheduled = unpack(KEYS)
local reference, entry_suffix = unpack(ARGV)
--- @include "now"
local cancelled, number = 0, 0
while true do
  local field = 'send:late.' .. number
  local stored = redis.call('HGET', message, field)
  if not stored then
    if cancelled > 0 and cancelled == number then
      redis.call('HSET', message, 'cancelled', now)
    end
    return cancelled
  end
  local send = cjson.decode(stored)
  if send.state == 'waiting' then
    send.state, send.at, send.result = 'withdrawn', now, 'cancelled'
    redis.call('HSET', message, field, cjson.encode(send))
    for _, list in ipairs({outbox, scheduled}) do
      redis.call('ZREM', list, reference .. ' late.' .. number .. entry_suffix)
    end
    cancelled = cancelled + 1
  end
  number = number + 1
end
