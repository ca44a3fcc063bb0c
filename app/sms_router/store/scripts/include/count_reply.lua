-- Counts a reply to a contact and returns how many there were. They are counted for `window_ms` from the first
-- one; with more than `max_replies` the window begins anew with each. A key that would last longer than the
-- window dates from before Redis' clock was set back.
local function count_reply(reply_count, max_replies, window_ms)
  local count = redis.call('INCR', reply_count)
  if count == 1 or count > tonumber(max_replies) or redis.call('PTTL', reply_count) > tonumber(window_ms) then
    redis.call('PEXPIRE', reply_count, window_ms)
  end
  return count
end
