-- Stores which of several equal senders a contact was answered from, so that they keep it. The latest choice
-- holds, in whatever order they arrive; one with a time in the future comes from a clock that was wrong.
local contact = unpack(KEYS)
local sender, chosen_at, ttl_ms = unpack(ARGV)
--- @include "now"
local at = math.min(tonumber(chosen_at), now)
local stored_at = tonumber(string.match(redis.call('HGET', contact, ':sticky-sender') or '', ' (%d+)$') or 0)
if at <= stored_at and stored_at <= now then
  return 0
end
redis.call('HSET', contact, ':sticky-sender', sender .. ' ' .. string.format('%.0f', at))
--- @include "extend_contact"
extend_contact(contact, ttl_ms)
return 1
