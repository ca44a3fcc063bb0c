-- Writes down which of several equal numbers a person was answered from, so that they keep it. The latest
-- choice holds, in whatever order they come.
-- KEYS: person   ARGV: sender, ms of the choice, ms that facts last
local when = string.match(redis.call('HGET', KEYS[1], 'last') or '', ' (%d+)$')
if tonumber(ARGV[2]) <= tonumber(when or 0) then
  return 0
end
redis.call('HSET', KEYS[1], 'last', ARGV[1] .. ' ' .. ARGV[2])
if redis.call('HEXISTS', KEYS[1], 'out') == 0 and redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
