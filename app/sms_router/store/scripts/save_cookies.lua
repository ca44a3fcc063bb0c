-- Stores an application's cookies for a pair of numbers.
local cookies = unpack(KEYS)
local jar, ttl_ms = unpack(ARGV)
return redis.call('SET', cookies, jar, 'PX', ttl_ms)
