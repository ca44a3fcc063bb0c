-- Stores a versioned hash again that a Redis without persistence has lost, unless an operator has changed it since.
-- The rest of ARGV is its fields and values by turns.
local hash, hash_version = unpack(KEYS)
local version = unpack(ARGV, 1, 1)
if redis.call('EXISTS', hash_version) == 1 then
  return 0
end
for index = 2, #ARGV, 2 do
  redis.call('HSET', hash, ARGV[index], ARGV[index + 1])
end
redis.call('SET', hash_version, version)
return 1
