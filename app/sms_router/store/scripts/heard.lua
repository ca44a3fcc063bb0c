-- Writes down which of several equal numbers a person was answered from, so that they keep it. The latest
-- choice holds, in whatever order they come; one from a time that has not come yet holds against nothing.
-- KEYS: person   ARGV: sender, ms of the choice, ms that facts last
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local at = math.min(tonumber(ARGV[2]), now)
local when = tonumber(string.match(redis.call('HGET', KEYS[1], 'last') or '', ' (%d+)$') or 0)
if at <= when and when <= now then
  return 0
end
redis.call('HSET', KEYS[1], 'last', ARGV[1] .. ' ' .. string.format('%.0f', at))
if redis.call('HEXISTS', KEYS[1], 'out') == 0 and redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
