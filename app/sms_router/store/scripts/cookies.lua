-- Returns an upstream's cookies for a pair of numbers and lets them live on, or keeps new ones.
-- KEYS: cookies
-- ARGV: the cookies, or "" to have them; ms that they live
if ARGV[1] ~= '' then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return ARGV[1]
end
local kept = redis.call('GET', KEYS[1])
if kept then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return kept
