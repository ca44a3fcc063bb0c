-- Claims work whose answer leaves later, for whoever finds that nobody does it.
-- KEYS: record, outbox, person, dead letters, and the conversation where there are any
-- ARGV: entry, reference, kind, owner, lease ms, attempts at the most, ms after which nobody waits any more,
--       retention ms
-- Returns {"claimed", attempt, request, known, conversation, ms}, {"busy"}, {"over"} or {"given up", why}.
local record = redis.call('HMGET', KEYS[1], 'request', 'lease', ARGV[3], ARGV[3] .. ':attempts', 'received',
  ARGV[3] .. ':asked')
if not record[1] or record[3] then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return {'over'}
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lease = tonumber(record[2] or 0)
if lease > now + tonumber(ARGV[5]) then
  lease = now + tonumber(ARGV[5])  -- the clock was set back
  redis.call('HSET', KEYS[1], 'lease', lease)
end
if lease > now then
  redis.call('ZADD', KEYS[2], lease, ARGV[1])
  return {'busy'}
end
local attempt = tonumber(record[4] or 0) + 1
local why = nil
if attempt > tonumber(ARGV[6]) then
  why = 'its handler was begun ' .. ARGV[6] .. ' times and never ended: workers were lost over it'
elseif now - tonumber(record[6] or record[5]) > tonumber(ARGV[7]) then
  why = 'too late: nobody was there to answer in time'
end
if why then
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('HDEL', KEYS[1], 'owner', 'lease')
  redis.call('HSET', KEYS[1], ARGV[3] .. ':dead', redis.call('XADD', KEYS[4], 'MINID', '~',
    now - tonumber(ARGV[8]), '*', 'message', ARGV[2], 'cause', ARGV[3] .. ': ' .. why))
  redis.call('PEXPIRE', KEYS[4], ARGV[8])
  return {'given up', why}
end
local behind, said, left
if KEYS[5] then
  behind, said, left = take_turn(KEYS[5], KEYS[1], ARGV[2], tonumber(ARGV[5]), now)
  if behind then
    redis.call('ZADD', KEYS[2], now + PLACE / 2, ARGV[1])
    return {'busy'}
  end
end
redis.call('HSET', KEYS[1], 'owner', ARGV[4], 'lease', now + tonumber(ARGV[5]), ARGV[3] .. ':attempts', attempt)
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[5]), ARGV[1])
return {'claimed', attempt, record[1], redis.call('HGETALL', KEYS[3]), said, left}
