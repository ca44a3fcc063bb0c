-- Commits an answer; the first commit wins. Returns {1}; {0, answer, outcome} of the one that was first; {2}
-- where Redis has lost the message and request is "": it is to be run again with it; {3, excess} where the loop guard objects: the answer
-- is one reply too many, by so many, and is not stored.
-- With work (an outbox entry) the handler goes on: the claim stays with the owner, or with whoever holds it
-- where owner is "". A cause makes the message a dead letter. With max_replies "" the reply is not counted.
local message, journal, dead_letters, outbox, reply_count = unpack(KEYS)
local request, received, max_replies, window_ms, reference, answer, outcome, trail, retention_ms, cause, channel,
  work, owner, lease_ms = unpack(ARGV)
local update_conversation, conversation, state, valid_ms, ttl_ms
--- @include "now"
--- @include "append"
--- @include "count_reply"
--- @include "commit"
