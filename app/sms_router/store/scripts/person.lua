-- Returns what is known of a person, names and values by turns; nothing when nothing is.
-- KEYS: person
return redis.call('HGETALL', KEYS[1])
