-- Stores the version of the stored data, unless one is stored, and returns the stored one.
local schema = unpack(KEYS)
local version = unpack(ARGV)
redis.call('SET', schema, version, 'NX')
return redis.call('GET', schema)
