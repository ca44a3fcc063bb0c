-- Moves an entry of the outbox to the schedule until due, in ms. The script defines `message`, `outbox`, `scheduled`,
-- `entry` and `now`.
local function put_off(due)
  local ttl = redis.call('PTTL', message) + math.max(0, due - now)
  redis.call('PEXPIRE', message, ttl)
  redis.call('ZREM', outbox, entry)
  redis.call('ZADD', scheduled, due, entry)
  redis.call('PEXPIRE', scheduled, math.max(ttl, redis.call('PTTL', scheduled)))
end
