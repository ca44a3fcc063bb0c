-- Changes what handlers have stored of a contact: `changes` has a JSON text by name, or false for what is removed.
-- Two changes at once both hold, if they are of different names. Returns 0 where it would be larger than max_size.
local contact = unpack(KEYS)
local changes, max_size, ttl_ms = unpack(ARGV)
--- @include "extend_contact"
local profile = cjson.decode(redis.call('HGET', contact, ':profile') or '{}')
for name, value in pairs(cjson.decode(changes)) do
  profile[name] = value or nil
end
if next(profile) == nil then
  redis.call('HDEL', contact, ':profile')
  extend_contact(contact, ttl_ms)
  return 1
end
local stored = cjson.encode(profile)
if #stored > tonumber(max_size) then
  return 0
end
redis.call('HSET', contact, ':profile', stored)
redis.call('PERSIST', contact)
return 1
