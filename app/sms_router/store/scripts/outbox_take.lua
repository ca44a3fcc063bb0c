-- Takes what is due from one bucket's outbox. What is taken comes back when its holder is not heard of.
-- What is not due for longer than anything waits is from before the clock was set back: it is taken soon.
-- KEYS: outbox   ARGV: ms to hold it, how many, ms that anything waits at the most
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
for _, entry in ipairs(due) do
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), entry)
end
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now + tonumber(ARGV[3]), '+inf', 'LIMIT', 0, ARGV[2])) do
  redis.call('ZADD', KEYS[1], now + tonumber(ARGV[1]), entry)
end
return due
