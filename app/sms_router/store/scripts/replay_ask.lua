-- Asks for a message to be answered once more, by whichever router looks next. While anything of an earlier
-- replay may have left, it is not asked for again; what is left of one that sent nothing makes way.
-- KEYS: record, outbox, person
-- ARGV: entry, entry of the late work, retention ms, ms that an answer may take,
--       "1" when an answer that may have left is no reason against it
-- Returns {"asked"}, or why not: {"gone"}, {"unanswered"}, {"opted out"}, {"leaving"}, {"left"}, {"unknown"} or
-- {"already", since when}.
local record = redis.call('HMGET', KEYS[1], 'request', 'answer', 'received', 'outcome', 'bodies:removed',
  'replay:asked', 'replay', 'replay:failed')
if not record[1] or record[5] then
  return {'gone'}
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if not record[2] and now - tonumber(record[3]) < tonumber(ARGV[4]) then
  return {'unanswered'}
elseif redis.call('HEXISTS', KEYS[3], 'out') == 1 then
  return {'opted out'}
elseif redis.call('ZSCORE', KEYS[2], ARGV[2]) then
  return {'leaving'}
elseif record[6] and redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  return {'already', record[6]}
end

local over = {'replay:asked', 'replay:attempts', 'replay', 'replay:story', 'replay:at', 'replay:failed',
  'replay:dead'}
local sent = 0
local fields = redis.call('HGETALL', KEYS[1])
for at = 1, #fields, 2 do
  local name = string.match(fields[at], '^send:(.*)$')
  if name then
    local state = cjson.decode(fields[at + 1]).state
    if string.sub(name, 1, 7) == 'replay.' then
      if state ~= 'withdrawn' and state ~= 'refused' then
        return {'already', record[6]}
      end
      sent = sent + 1
      over[#over + 1] = fields[at]
    elseif state == 'waiting' or state == 'sending' then
      return {'leaving'}
    elseif string.sub(name, 1, 5) == 'late.' or record[4] == 'reply' then
      if state == 'sent' then
        return {'left'}
      elseif state == 'unknown' and ARGV[5] ~= '1' then
        return {'unknown'}
      end
    end
  end
end
if record[7] and sent == 0 and not record[8] then
  return {'already', record[6]}
end

redis.call('HDEL', KEYS[1], unpack(over))
redis.call('HSET', KEYS[1], 'replay:asked', now)
redis.call('ZADD', KEYS[2], now, ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return {'asked'}
