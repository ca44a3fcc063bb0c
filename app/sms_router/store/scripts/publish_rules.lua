-- Stores a version of the rules and makes it the current one, unless another version is current than the
-- publisher expects: "" for none, else its number and digest. Only the last max_versions are kept.
-- Returns the number of the new version; 0 where another one was published meanwhile.
local current_version, descriptions, documents = unpack(KEYS)
local expected, digest, description, document, max_versions, channel = unpack(ARGV)
if (redis.call('GET', current_version) or '') ~= expected then
  return 0
end
local number = tonumber(string.match(expected, '^%d+') or '0') + 1
redis.call('HSET', descriptions, number, description)
redis.call('HSET', documents, number, document)
redis.call('HDEL', descriptions, number - tonumber(max_versions))
redis.call('HDEL', documents, number - tonumber(max_versions))
redis.call('SET', current_version, number .. ' ' .. digest)
redis.pcall('PUBLISH', channel, number)
return number
