-- Claims work as outbox_claim.lua does, once the contact's earlier messages are answered. A claim also has the
-- state of the conversation and the ms for which it is still valid.
local message, outbox, contact, dead_letters, conversation = unpack(KEYS)
local entry, reference, kind, owner, lease_ms, max_attempts, max_age_ms, retention_ms = unpack(ARGV)
--- @include "conversation"
--- @include "outbox_claim"
