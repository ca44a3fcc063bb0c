-- Returns the time by the clock of the server that holds a key: seconds since the epoch, microseconds.
local probe = unpack(KEYS)
return redis.call('TIME')
