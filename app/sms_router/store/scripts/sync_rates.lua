-- Adds what one worker has sent, and returns what all workers have, of the senders used since `since`.
-- last_used orders the senders by their last use, in microseconds. usage has for each "busy until (ms), day,
-- segments sent on that day"; days begin day_offset_s after midnight UTC.
-- The rest of ARGV is, for each sender that was used: its address, ms of work, segments.
-- Returns the time in ms; then for each sender its address, its last use, its usage.
local last_used, usage = unpack(KEYS)
local since, max_senders, day_offset_s = unpack(ARGV, 1, 3)
local FIRST, TTL_MS = 4, 172800000
--- @include "now"
local day = math.floor((now - day_offset_s * 1000) / 86400000)

-- The work of a sender that was last used in the future, before Redis' clock was set back, begins now.
local function read_usage(sender)
  local busy_until, used_day, segments =
    string.match(redis.call('HGET', usage, sender) or '', '^(%d+) (%d+) (%d+)$')
  local ahead_ms = math.floor((tonumber(redis.call('ZSCORE', last_used, sender)) or 0) / 1000) - now
  if busy_until and ahead_ms > 0 then
    busy_until = math.max(0, busy_until - ahead_ms)
    redis.call('HSET', usage, sender, string.format('%.0f %s %s', busy_until, used_day, segments))
    redis.call('ZADD', last_used, string.format('%.0f', now * 1000), sender)
  end
  return busy_until, used_day, segments
end

for index = FIRST, #ARGV, 3 do
  local sender, work_ms, sent = ARGV[index], tonumber(ARGV[index + 1]), tonumber(ARGV[index + 2])
  local busy_until, used_day, segments = read_usage(sender)
  busy_until, segments = tonumber(busy_until or 0), tonumber(used_day or 0) == day and tonumber(segments) or 0
  if sent > 0 then
    redis.call('HSET', usage, sender,
      string.format('%.0f %.0f %.0f', math.max(busy_until, now) + work_ms, day, segments + sent))
  end
  redis.call('ZADD', last_used, string.format('%.0f', now * 1000 + (index - 1) / 3), sender)
end
if #ARGV >= FIRST then
  redis.call('ZREMRANGEBYSCORE', last_used, '-inf', string.format('%.0f', (now - TTL_MS) * 1000))
  redis.call('PEXPIRE', last_used, TTL_MS)
  redis.call('PEXPIRE', usage, TTL_MS)
end

local senders = redis.call('ZRANGEBYSCORE', last_used, since, '+inf', 'WITHSCORES', 'LIMIT', 0, max_senders)
local report = {string.format('%.0f', now)}
for index = 1, #senders, 2 do
  local sender = senders[index]
  read_usage(sender)
  table.insert(report, sender)
  table.insert(report, redis.call('ZSCORE', last_used, sender))
  table.insert(report, redis.call('HGET', usage, sender) or '0 0 0')
end
return report
