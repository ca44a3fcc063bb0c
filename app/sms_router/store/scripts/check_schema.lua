-- Stores the version of the stored data, unless it is "" or one is stored, and returns the stored one or "".
local schema = unpack(KEYS)
local version = unpack(ARGV)
if version ~= '' then
  redis.call('SET', schema, version, 'NX')
end
return redis.call('GET', schema) or ''
