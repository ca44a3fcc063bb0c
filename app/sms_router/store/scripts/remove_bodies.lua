-- Removes texts from messages that came in long ago; who texted, when, and what became of it stay. Handles some
-- messages at a time, from where the last run ended; workers may run it at the same time and share the work.
-- kept_parameters are names with a blank before and behind each. Returns the number of messages handled.
local journal, body_retention_cursor = unpack(KEYS)
local body_retention_ms, count, message_prefix, empty_answer, kept_parameters, retention_ms = unpack(ARGV)
--- @include "now"
local last = redis.call('GET', body_retention_cursor)
local entries = redis.call('XRANGE', journal, last and '(' .. last or '-', now - body_retention_ms, 'COUNT', count)

local function without_body(request)
  local parameters = {}
  for parameter in string.gmatch(request, '[^&]+') do
    if string.find(kept_parameters, ' ' .. string.match(parameter, '^[^=]*') .. ' ', 1, true) then
      parameters[#parameters + 1] = parameter
    end
  end
  return table.concat(parameters, '&')
end

for _, entry in ipairs(entries) do
  local message = message_prefix .. entry[2][2]
  local record = redis.call('HMGET', message, 'request', 'bodies:removed', 'answer', 'late', 'replay', 'second')
  local request, bodies_removed = record[1], record[2]
  if request and not bodies_removed then
    redis.call('HSET', message, 'request', without_body(request), 'bodies:removed', now)
    for index, document in ipairs({'answer', 'late', 'replay', 'second'}) do
      if record[index + 2] then
        redis.call('HSET', message, document, empty_answer)
      end
    end
  end
  redis.call('SET', body_retention_cursor, entry[1], 'PX', retention_ms)
end
return #entries
