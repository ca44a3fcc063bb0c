-- Claims a message as claim.lua does, with an answer that was prepared for it. A new message is answered in the
-- same step, if nothing is stored of the contact and the loop guard has no objection; else it is claimed.
-- Returns {"stored"} too. With max_replies "" the reply is not counted.
local message, journal, contact, reply_count = unpack(KEYS)
local owner, lease_ms, retention_ms, reference, request, is_fallback, arrived,
  answer, outcome, trail, max_replies, quiet_ms, weight, text = unpack(ARGV)
local conversation
--- @include "now"
--- @include "received"
--- @include "read_message"
--- @include "count_reply"

if not stored_answer and not stored_request and redis.call('EXISTS', contact) == 0 then
  if max_replies == '' or count_reply(reply_count, max_replies, quiet_ms, weight, text, true) == 0 then
    redis.call('HSET', message, 'request', request, 'received', received, 'attempts', 1,
      'answer', answer, 'outcome', outcome, 'trail', trail, 'answered', now)
    --- @include "journal"
    return {'stored'}
  end
end

--- @include "claim"
