-- Returns what time it is.
-- KEYS: any of the server that is asked
return redis.call('TIME')
