-- Returns what is stored of a contact, names and values by turns; nothing where nothing is.
local contact = unpack(KEYS)
return redis.call('HGETALL', contact)
