-- Stores a delivery status: only a higher rank is news, whatever the order of arrival. The news teaches
-- something about the person; what it teaches is weighed by when the answered text came in, so that it
-- comes out the same in every order, and once for each text however often it is told.
-- KEYS: receipt, record of the message it answers (or the receipt again), person, heard
-- ARGV: status, rank, error code or "", sender or "", reply or "", retention ms, outgoing message sid,
--       lesson ("failed", "delivered" or ""), ms where the record does not tell,
--       ms that beliefs last at the most, failures kept, "1" when the sender has equals
-- Returns 0 for no news, 1 for news, {1, failures of this sender} for news that taught something.
local rank = redis.call('HGET', KEYS[1], 'rank')
if rank and tonumber(ARGV[2]) <= tonumber(rank) then
  return 0
end
redis.call('HSET', KEYS[1], 'status', ARGV[1], 'rank', ARGV[2], 'error_code', ARGV[3], 'sender', ARGV[4],
  'reply', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
if KEYS[2] ~= KEYS[1] then
  redis.call('HSET', KEYS[2], 'sent:' .. ARGV[7], ARGV[5])
  if redis.call('PTTL', KEYS[2]) < 0 then
    redis.call('PEXPIRE', KEYS[2], ARGV[6])
  end
end

local lesson, sender = ARGV[8], ARGV[4]
if lesson == '' then
  return 1
end
local answered = redis.call('HMGET', KEYS[2], 'received', 'answer')
local at = tonumber(answered[1] or ARGV[9])
local moment = string.format('%.0f', at)

-- The person's facts live as long as the longest belief; an opt-out is never forgotten.
local function keep()
  if redis.call('HEXISTS', KEYS[3], 'out') == 0 and redis.call('PTTL', KEYS[3]) < tonumber(ARGV[10]) then
    redis.call('PEXPIRE', KEYS[3], ARGV[10])
  end
end

-- Pictures go another way than texts: the first part of an answer with media says nothing here.
if string.sub(ARGV[5], -2) == '.0' and string.find(answered[2] or '', '<Media>', 1, true) then
  return 1
end

if lesson == 'failed' then
  local arrived = tonumber(redis.call('HGET', KEYS[4], sender) or 0)
  if at <= arrived then
    return 1
  end
  local mine = ARGV[3] .. '@' .. moment
  local failures = {mine}
  for each in string.gmatch(redis.call('HGET', KEYS[3], sender) or '', '%S+') do
    if each ~= mine then
      table.insert(failures, each)
    end
  end
  table.sort(failures, function(a, b)
    local x, y = string.sub(a, 7), string.sub(b, 7)
    if x ~= y then
      return #x > #y or (#x == #y and x > y)
    end
    return a > b
  end)
  local kept = table.concat(failures, ' ', 1, math.min(#failures, tonumber(ARGV[11])))
  redis.call('HSET', KEYS[3], sender, kept)
  keep()
  return {1, kept}
end

-- Delivered: older failures of this sender are over, also those that are reported later.
if at > tonumber(redis.call('HGET', KEYS[4], sender) or 0) then
  redis.call('HSET', KEYS[4], sender, moment)
  redis.call('PEXPIRE', KEYS[4], ARGV[6])
end
local left = {}
local failures = redis.call('HGET', KEYS[3], sender) or ''
for each in string.gmatch(failures, '%S+') do
  if tonumber(string.sub(each, 7)) > at then
    table.insert(left, each)
  end
end
if #left > 0 then
  redis.call('HSET', KEYS[3], sender, table.concat(left, ' '))
elseif failures ~= '' then
  redis.call('HDEL', KEYS[3], sender)
end
if ARGV[12] == '1' then
  local last, when = string.match(redis.call('HGET', KEYS[3], 'last') or '', '^(.*) (%d+)$')
  when = tonumber(when or 0)
  if at > when or (at == when and sender > (last or '')) then
    redis.call('HSET', KEYS[3], 'last', sender .. ' ' .. moment)
    keep()
  end
end
return 1
