-- Has what is stored of a contact last for ttl_ms at least. An opt-out and what handlers have stored do not expire.
local function extend_contact(contact, ttl_ms)
  if redis.call('HEXISTS', contact, ':opt-out') == 0 and redis.call('HEXISTS', contact, ':profile') == 0
    and redis.call('PTTL', contact) < tonumber(ttl_ms) then
    redis.call('PEXPIRE', contact, ttl_ms)
  end
end
