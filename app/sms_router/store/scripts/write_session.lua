-- Stores what is known of a session of the console, and deletes those that have expired.
local sessions = unpack(KEYS)
local digest, description, now, ttl_ms = unpack(ARGV)
local stored = redis.call('HGETALL', sessions)
for index = 1, #stored, 2 do
  if tonumber(string.match(stored[index + 1], '^%d+')) <= tonumber(now) then
    redis.call('HDEL', sessions, stored[index])
  end
end
redis.call('HSET', sessions, digest, description)
return redis.call('PEXPIRE', sessions, ttl_ms)
