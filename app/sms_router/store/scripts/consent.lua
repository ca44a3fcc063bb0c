-- Puts a person on the opt-out list or takes them off it. Of several wishes the latest holds, in whatever
-- order they come; what is told is the first of them. The list does not expire; everything else that is
-- known of the person does. Returns 1 when they came onto the list, or left it; then every worker is told.
-- A time that has not come yet is from a clock that was wrong, and says nothing about what came first: no
-- opt-out is held against it, and to come back it takes a wish of this minute.
-- KEYS: person, heard, opt-outs, record of the message that said so (or the person again)
-- ARGV: "stop" or "start", source, ms (where the record does not tell), ms that other facts last, entry,
--       channel
local MINUTE = 60000
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local at = math.min(tonumber(redis.call('HGET', KEYS[4], 'received') or ARGV[3]), now)
local last, since, source = string.match(redis.call('HGET', KEYS[1], 'out') or '', '^(%d+) (%d+) (.*)$')
last, since = tonumber(last or 0), tonumber(since or 0)
local started = tonumber(redis.call('HGET', KEYS[2], ':start') or 0)
if started > now then
  started = 0
end
if last > now then
  last = now - MINUTE
end

if ARGV[1] == 'stop' then
  if at <= started then
    return 0
  end
  if last == 0 or at < since or (at == since and ARGV[2] > source) then
    since, source = at, ARGV[2]
  end
  local known = string.format('%.0f %.0f ', math.max(last, at), since) .. source
  redis.call('HSET', KEYS[1], 'out', known)
  redis.call('PERSIST', KEYS[1])
  redis.call('ZADD', KEYS[3], string.format('%.0f', since), ARGV[5])
  if last ~= 0 then
    return 0
  end
  redis.call('PUBLISH', ARGV[6], 'stop ' .. ARGV[5])
  return 1
end

if at > started then
  redis.call('HSET', KEYS[2], ':start', string.format('%.0f', at))
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
if last == 0 or at < last then
  return 0
end
redis.call('HDEL', KEYS[1], 'out')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZREM', KEYS[3], ARGV[5])
redis.call('PUBLISH', ARGV[6], 'start ' .. ARGV[5])
return 1
