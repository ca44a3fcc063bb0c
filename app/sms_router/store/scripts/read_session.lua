-- Returns what is known of a session of the console, or nil.
local sessions = unpack(KEYS)
local digest = unpack(ARGV)
return redis.call('HGET', sessions, digest)
