-- Takes the mark off a message that Twilio has surely not seen, to be tried again in a while. Nobody else's
-- mark is taken off, so that running it again does not send anything again.
-- KEYS: record, outbox   ARGV: entry, name, ms, what the mark is called or "" (it was not marked)
local field = 'send:' .. ARGV[2]
local known = redis.call('HGET', KEYS[1], field)
if not known then
  redis.call('ZREM', KEYS[2], ARGV[1])
  return 0
end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local sent = cjson.decode(known)
if sent.state == 'sending' and sent.mark == ARGV[4] then
  sent.state, sent.at, sent.mark, sent.tries = 'waiting', now, nil, (sent.tries or 0) + 1
  redis.call('HSET', KEYS[1], field, cjson.encode(sent))
elseif sent.state ~= 'waiting' then
  return 0
end
redis.call('ZADD', KEYS[2], now + tonumber(ARGV[3]), ARGV[1])
return 1
