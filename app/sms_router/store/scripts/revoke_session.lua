-- Revokes a session of the console for as long as its cookie would be valid.
local revoked_session = unpack(KEYS)
local ttl_ms = unpack(ARGV)
return redis.call('SET', revoked_session, '1', 'PX', ttl_ms)
