-- Returns 1 for a session of the console that was revoked, else 0.
local revoked_session = unpack(KEYS)
return redis.call('EXISTS', revoked_session)
