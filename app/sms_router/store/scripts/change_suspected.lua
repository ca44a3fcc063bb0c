-- Lists a contact whose text may be meant as an opt-out, until an operator decides, or removes them from the list.
-- Of a full list the oldest entry is dropped. An empty entry removes the suspect, an empty suspect changes nothing.
-- Returns how many are listed.
local suspected = unpack(KEYS)
local suspect, entry, max_size = unpack(ARGV)
if entry == '' then
  redis.call('HDEL', suspected, suspect)
else
  redis.call('HSET', suspected, suspect, entry)
end
local size = redis.call('HLEN', suspected)
if size <= tonumber(max_size) then
  return size
end
local entries, oldest, oldest_at = redis.call('HGETALL', suspected), nil, nil
for place = 1, #entries, 2 do
  local at = tonumber(string.match(entries[place + 1], '^%d+'))
  if oldest == nil or at < oldest_at then
    oldest, oldest_at = entries[place], at
  end
end
return size - redis.call('HDEL', suspected, oldest)
