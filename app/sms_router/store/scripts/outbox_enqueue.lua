-- Puts the messages of one document into the outbox, once however often it is run, and removes the work that made
-- them. A message that Redis has lost is stored again, with the empty answer that a late reply follows; without a
-- request that is a dead letter. Where the work was abandoned meanwhile (the clock was set
-- forward), that dead letter is deleted.
-- kind is "late" or "replay"; entry_suffix is the end of each message's entry, behind its part; cause is "" unless
-- the message is a dead letter too; since is when the contact began to wait, or "" for when the message was received.
-- enqueued_at is "" for now. Where this is run again, delay_ms is left to a worker that has sent one of them, and
-- stores that again.
local message, outbox, dead_letters, journal = unpack(KEYS)
local reference, kind, document, trail, reason, work, entry_suffix, count, retention_ms, cause, since,
  request, received, empty_answer, enqueued_at, delay_ms = unpack(ARGV)
local update_conversation, conversation, state, valid_ms, ttl_ms, timer
--- @include "outbox_enqueue"
