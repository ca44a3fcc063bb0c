-- Returns an application's cookies for a pair of numbers, and extends their life.
local cookies = unpack(KEYS)
local ttl_ms = unpack(ARGV)
local stored = redis.call('GET', cookies)
if stored then
  redis.call('PEXPIRE', cookies, ttl_ms)
end
return stored
