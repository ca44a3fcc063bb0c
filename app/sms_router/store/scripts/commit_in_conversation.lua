-- Commits an answer as commit.lua does, and stores in the same step what the message makes of the contact's
-- conversation (include/conversation.lua).
local message, journal, dead_letters, outbox, reply_count, conversation = unpack(KEYS)
local request, received, given, max_replies, quiet_ms, weight, text, reference, answer, outcome, trail, retention_ms, cause,
  channel, work, owner, lease_ms, state, valid_ms, ttl_ms, timer = unpack(ARGV)
--- @include "conversation"
--- @include "commit"
