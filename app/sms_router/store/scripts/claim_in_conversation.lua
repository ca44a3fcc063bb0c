-- Claims a message as claim.lua does, once the contact's earlier messages are answered.
-- Returns {"locked", ms, reference} too: another message comes first, and holds the lock for so long at most.
-- A claim also has the state of the conversation and the ms for which it is still valid.
local message, journal, contact, conversation = unpack(KEYS)
local owner, lease_ms, retention_ms, reference, request, is_fallback, arrived = unpack(ARGV)
--- @include "now"
--- @include "received"
--- @include "read_message"
--- @include "conversation"
--- @include "claim"
