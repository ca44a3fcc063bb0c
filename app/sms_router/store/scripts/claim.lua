-- Claims a message and journals it, in one step, so that of any number of requests for it exactly one answers.
-- Returns {"claimed", attempt}, {"in_progress", ms that the lease still lasts}, {"answered", answer, outcome},
-- or {"released"} where only Twilio's fallback request may answer. The first two also have the fields of the
-- contact, if there are any. arrived is when the webhook came, or "" for now.
local message, journal, contact = unpack(KEYS)
local owner, lease_ms, retention_ms, reference, request, is_fallback, arrived = unpack(ARGV)
local conversation
--- @include "now"
--- @include "received"
--- @include "read_message"
--- @include "claim"
