-- Takes what was said out of messages that came in long ago; who texted, when, and what became of it stay.
-- Some at a time, from where the last run ended; workers may run it at the same time and share the work.
-- KEYS: journal, how far it has come
-- ARGV: ms that texts are kept, messages at the most, how the keys of records begin, empty answer,
--       " names of parameters that stay ", retention ms
-- Returns how many messages were looked at.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local last = redis.call('GET', KEYS[2])
local entries = redis.call('XRANGE', KEYS[1], last and '(' .. last or '-', now - tonumber(ARGV[1]), 'COUNT', ARGV[2])

local function skeleton(request)
  local parts = {}
  for part in string.gmatch(request, '[^&]+') do
    if string.find(ARGV[5], ' ' .. string.match(part, '^[^=]*') .. ' ', 1, true) then
      parts[#parts + 1] = part
    end
  end
  return table.concat(parts, '&')
end

for _, entry in ipairs(entries) do
  local record = ARGV[3] .. entry[2][2]
  local said = redis.call('HMGET', record, 'request', 'bodies:removed', 'answer', 'late', 'replay')
  if said[1] and not said[2] then
    redis.call('HSET', record, 'request', skeleton(said[1]), 'bodies:removed', now)
    for at, document in ipairs({'answer', 'late', 'replay'}) do
      if said[at + 2] then
        redis.call('HSET', record, document, ARGV[4])
      end
    end
  end
  redis.call('SET', KEYS[2], entry[1], 'PX', ARGV[6])
end
return #entries
