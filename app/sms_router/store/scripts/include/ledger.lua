-- Appends an entry to the ledger of a contact's consent, once for each id: a script may run again. A full ledger
-- counts what it leaves out. Every copy of the ledger gets the entry: `change` is what happened to the opt-out list,
-- or "note", and `order` its place among the changes (change_consent.lua).
local MAX_LEDGER = 500
local function record(consent, consents, member, channel, change, order, at, entry_id, entry)
  if entry_id ~= '' then
    redis.call('ZADD', consents, string.format('%.0f', at), member)
    if redis.call('HLEN', consent) >= MAX_LEDGER then
      redis.call('HINCRBY', consent, 'omitted', 1)
    elseif redis.call('HSETNX', consent, 'entry:' .. entry_id, string.format('%.0f ', at) .. entry) == 0
      and change == 'note' then
      return
    end
  elseif change == 'note' then
    return
  end
  redis.pcall('PUBLISH', channel,
    change .. string.format(' %.0f ', order) .. member .. ' ' .. entry_id .. string.format(' %.0f ', at) .. entry)
end
