-- Opens a message: claims it, journals it, or says who has it. One step, so that of any number of
-- deliveries exactly one is told to work.
-- What is known of the person comes along where somebody is to answer, and only if there is anything.
-- Where there are conversations, a person's messages take turns, and what is kept of theirs comes along.
-- A lease that seems to last longer than any does is from before the clock was set back: it begins anew.
-- Where the answer is there already, it may be stored in the same step (`answer_at_once`).
-- KEYS: record, journal, person, and the conversation where there are any
-- ARGV: owner, lease ms, retention ms, reference, request, "1" when Twilio's fallback asks
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lease, retention = tonumber(ARGV[2]), tonumber(ARGV[3])

local talk = not ARGV[7] and KEYS[4]
local behind, said, left

local function told(answer)
  local known = redis.call('HGETALL', KEYS[3])
  if #known > 0 or said then
    answer[3], answer[4], answer[5] = known, said, left
  end
  return answer
end

local record = redis.call('HMGET', KEYS[1], 'answer', 'outcome', 'lease', 'request', 'attempts')

if record[1] then
  return {'answered', record[1], record[2]}
end

if not record[4] then
  if talk then
    behind, said, left = take_turn(talk, KEYS[1], ARGV[4], lease, now)
    if behind then
      return behind
    end
  end
  local answered = ARGV[7] and answer_at_once(now)
  if not answered then
    redis.call('HSET', KEYS[1], 'request', ARGV[5], 'received', now, 'owner', ARGV[1],
      'lease', now + lease, 'attempts', 1)
  end
  redis.call('PEXPIRE', KEYS[1], retention)
  redis.call('XADD', KEYS[2], 'MINID', '~', now - retention, '*', 'message', ARGV[4])
  redis.call('PEXPIRE', KEYS[2], retention)
  return answered and {'stored'} or told({'claimed', 1})
end

-- The handler failed and Twilio was told so: only its fallback request may answer now.
if record[2] == 'released' and ARGV[6] ~= '1' then
  return {'released'}
end

local remaining = tonumber(record[3] or 0) - now
if remaining > lease then
  remaining = lease
  redis.call('HSET', KEYS[1], 'lease', now + lease)
end
if remaining > 0 then
  redis.call('HSET', KEYS[1], 'awaited', 1)
  return told({'busy', remaining})
end

if talk then
  behind, said, left = take_turn(talk, KEYS[1], ARGV[4], lease, now)
  if behind then
    return behind
  end
end

local attempts = tonumber(record[5] or 0) + 1
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'lease', now + lease, 'attempts', attempts)
return told({'claimed', attempts})
