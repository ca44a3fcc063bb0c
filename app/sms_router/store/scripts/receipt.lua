-- Stores a delivery status: only a higher rank is news, whatever the order of arrival. The news teaches
-- something about the person; what it teaches is weighed by when the answered text came in, so that it
-- comes out the same in every order, and once for each text however often it is told.
-- What failed for its sender is put into the outbox, once, as soon as the sender is believed not to reach the
-- person; what was sent a second time and failed is a dead letter.
-- KEYS: receipt, record of the message it answers (or the receipt again), person, heard, outbox, dead letters
-- ARGV: status, rank, error code or "", sender or "", reply or "", retention ms, outgoing message sid,
--       lesson ("failed", "delivered" or ""), ms where the record does not tell,
--       ms that beliefs last at the most, failures kept, "1" when the sender has equals,
--       name of the second sending or "", its entry, its reason, failures that are believed, ms that count,
--       reference, cause of a dead letter or ""
-- Returns 0 for no news, 1 for news, {1, failures of this sender, 1 when it is sent again} for news that
-- taught something. Times that have not come yet are from a clock that was wrong: they weigh nothing.
local rank = redis.call('HGET', KEYS[1], 'rank')
if rank and tonumber(ARGV[2]) <= tonumber(rank) then
  if ARGV[1] == 'delivered' then
    redis.call('HSET', KEYS[1], 'arrived', 1)
  end
  return 0
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('HSET', KEYS[1], 'status', ARGV[1], 'rank', ARGV[2], 'error_code', ARGV[3], 'sender', ARGV[4],
  'reply', ARGV[5], 'at:' .. ARGV[1], now)
redis.call('PEXPIRE', KEYS[1], ARGV[6])
if KEYS[2] ~= KEYS[1] then
  redis.call('HSET', KEYS[2], 'sent:' .. ARGV[7], ARGV[5])
  if redis.call('PTTL', KEYS[2]) < 0 then
    redis.call('PEXPIRE', KEYS[2], ARGV[6])
  end
end

if ARGV[19] ~= '' then
  redis.call('XADD', KEYS[6], 'MINID', '~', now - tonumber(ARGV[6]), '*', 'message', ARGV[18], 'cause', ARGV[19])
  redis.call('PEXPIRE', KEYS[6], ARGV[6])
end

local function send_again()
  if ARGV[13] == '' then
    return 0
  end
  local waiting = cjson.encode({state = 'waiting', at = now, why = ARGV[15], failed = ARGV[4], repeats = ARGV[7]})
  if redis.call('HSETNX', KEYS[2], 'send:' .. ARGV[13], waiting) == 0 then
    return 0
  end
  redis.call('ZADD', KEYS[5], now, ARGV[14])
  redis.call('PEXPIRE', KEYS[5], ARGV[6])
  return 1
end

local lesson, sender = ARGV[8], ARGV[4]
if lesson == '' then
  if ARGV[13] ~= '' and tonumber(ARGV[16]) == 1 then
    return {1, '', send_again()}
  end
  return 1
end
local answered = redis.call('HMGET', KEYS[2], 'received', 'answer')
local at = tonumber(answered[1] or math.min(tonumber(ARGV[9]), now))
local moment = string.format('%.0f', at)

-- The person's facts live as long as the longest belief; an opt-out is never forgotten.
local function keep()
  if redis.call('HEXISTS', KEYS[3], 'out') == 0 and redis.call('PTTL', KEYS[3]) < tonumber(ARGV[10]) then
    redis.call('PEXPIRE', KEYS[3], ARGV[10])
  end
end

-- Pictures go another way than texts: the first part of an answer with media says nothing here.
if string.sub(ARGV[5], -2) == '.0' and string.find(answered[2] or '', '<Media>', 1, true) then
  return {1, '', tonumber(ARGV[16]) == 1 and send_again() or 0}
end

if lesson == 'failed' then
  local arrived = tonumber(redis.call('HGET', KEYS[4], sender) or 0)
  if at <= arrived and arrived <= now then
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
  local counted, newest = 0, 0
  for code, when in string.gmatch(kept, '(%d+)@(%d+)') do
    if code == ARGV[3] then
      newest = math.max(newest, tonumber(when))
    end
  end
  for code, when in string.gmatch(kept, '(%d+)@(%d+)') do
    if code == ARGV[3] and tonumber(when) > newest - tonumber(ARGV[17]) then
      counted = counted + 1
    end
  end
  return {1, kept, counted >= tonumber(ARGV[16]) and send_again() or 0}
end

-- Delivered: older failures of this sender are over, also those that are reported later.
local before = tonumber(redis.call('HGET', KEYS[4], sender) or 0)
if at > before or before > now then
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
  if at > when or when > now or (at == when and sender > (last or '')) then
    redis.call('HSET', KEYS[3], 'last', sender .. ' ' .. moment)
    keep()
  end
end
return 1
