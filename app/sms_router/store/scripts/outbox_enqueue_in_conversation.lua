-- Fills the outbox as outbox_enqueue.lua does, and stores in the same step what the message makes of the contact's
-- conversation (include/conversation.lua).
local message, outbox, dead_letters, journal, conversation = unpack(KEYS)
local reference, kind, document, trail, reason, work, entry_suffix, count, retention_ms, cause, since,
  request, received, empty_answer, enqueued_at, delay_ms, state, valid_ms, ttl_ms, timer = unpack(ARGV)
--- @include "conversation"
--- @include "outbox_enqueue"
