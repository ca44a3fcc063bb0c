-- Commits an answer; the first commit wins.
-- Returns {1}, or {0, answer, outcome} of the one that was first; {4, answer, outcome} where it differs and given is
-- the time at which this one was sent to Twilio, while Redis was away: it is stored as the second answer. {2}: Redis has lost the message and request is "";
-- the commit is run again with it. {3, 1 or 2}: the answer is not stored, because it is the first reply too many for
-- the loop guard, or a later one; with max_replies "" it is not counted, and one with the outcome "muted" is stored.
-- With work (an outbox entry) the handler goes on: the claim stays with the owner, or with whoever has it where
-- owner is "". A cause makes the message a dead letter, unless there is work.
local message, journal, dead_letters, outbox, reply_count = unpack(KEYS)
local request, received, given, max_replies, quiet_ms, weight, text, reference, answer, outcome, trail, retention_ms, cause,
  channel, work, owner, lease_ms = unpack(ARGV)
local update_conversation, conversation, state, valid_ms, ttl_ms, timer
--- @include "commit"
