-- Claims work of the outbox whose worker is gone: a handler is run again, and its reply leaves by REST.
-- Returns {"claimed", attempt, request, fields of the contact}, {"busy"} while another worker has it, {"done"} where
-- its reply is stored, or {"abandoned", reason}, a dead letter.
local message, outbox, contact, dead_letters = unpack(KEYS)
local entry, reference, kind, owner, lease_ms, max_attempts, max_age_ms, retention_ms = unpack(ARGV)
local lock_conversation, conversation
--- @include "outbox_claim"
