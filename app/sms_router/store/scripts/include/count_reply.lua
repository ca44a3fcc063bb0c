-- Counts a reply to a contact until there are `quiet_ms` without one, together with the text that it answers. A
-- reply to the same text again counts for three. Returns 0; 1 for the first reply above the limit, and 2 for the
-- others. With `is_prepared` one above the limit is not counted: its commit does that.
local function count_reply(reply_count, max_replies, quiet_ms, weight, text, is_prepared)
  local count, last = string.match(redis.call('GET', reply_count) or '', '^(%S+) (.*)$')
  count = tonumber(count) or 0
  local result = 0
  if count < 0 or count >= tonumber(max_replies) then
    result = count < 0 and 2 or 1
    if is_prepared then
      return result
    end
    count = -1
  else
    count = count + (text ~= '' and text == last and 3 or tonumber(weight))
  end
  redis.call('SET', reply_count, count .. ' ' .. text, 'PX', quiet_ms)
  return result
end
