-- Begins a conversation with a message of ours, in place of the contact's earlier one. Returns 1.
local conversation = unpack(KEYS)
local state, valid_ms, ttl_ms, timer = unpack(ARGV)
--- @include "now"
--- @include "timer"
redis.call('HSET', conversation, 'state', state, 'expires_at', now + tonumber(valid_ms))
redis.call('PEXPIRE', conversation, ttl_ms)
set_timer(conversation, timer, state, now + tonumber(valid_ms), ttl_ms)
return 1
