-- Appends an entry to the ledger of a contact's consent, such as a message that was refused because of an opt-out.
local contact, consent, consents = unpack(KEYS)
local at, consent_ttl_ms, member, channel, entry_id, entry = unpack(ARGV)
--- @include "ledger"
record(consent, consents, member, channel, 'note', at, tonumber(at), entry_id, entry)
if redis.call('HEXISTS', contact, ':opt-out') == 0 then
  redis.call('PEXPIRE', consent, consent_ttl_ms)
end
return 1
