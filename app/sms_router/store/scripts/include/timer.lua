-- Has the timer of a conversation be due when its state expires, or removes it.
local function set_timer(conversation, timer, state, expires_at, ttl_ms)
  if timer == '' then
    return
  end
  local events = string.match(conversation, '^[^}]*}') .. ':events'
  if state == '-' or state == '!' then
    redis.call('ZREM', events, timer)
  else
    redis.call('ZADD', events, expires_at, timer)
    redis.call('PEXPIRE', events, math.max(ttl_ms, redis.call('PTTL', events)))
  end
end
