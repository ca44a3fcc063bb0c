-- Counts a reply that leaves by REST, as a commit counts one. Returns by how many it is too many, or 0.
local reply_count = unpack(KEYS)
local max_replies, window_ms = unpack(ARGV)
--- @include "count_reply"
return math.max(0, count_reply(reply_count, max_replies, window_ms) - tonumber(max_replies))
