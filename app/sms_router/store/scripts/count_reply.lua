-- Counts a reply that leaves by REST, as a commit counts one, and returns the same: not 0 where it is one too many.
local reply_count = unpack(KEYS)
local max_replies, quiet_ms, weight, text = unpack(ARGV)
--- @include "count_reply"
return count_reply(reply_count, max_replies, quiet_ms, weight, text)
