-- Puts a person on the opt-out list or takes them off it. Of several wishes the latest holds, in whatever
-- order they come. The list does not expire; everything else that is known of the person does.
-- KEYS: person, heard, opt-outs, record of the message that said so (or the person again)
-- ARGV: "stop" or "start", source, ms (where the record does not tell), retention ms, entry in the list
local at = tonumber(redis.call('HGET', KEYS[4], 'received') or ARGV[3])
local out, source = string.match(redis.call('HGET', KEYS[1], 'out') or '', '^(%d+) (.*)$')
local started = tonumber(redis.call('HGET', KEYS[2], ':start') or 0)
out = tonumber(out or 0)

if ARGV[1] == 'stop' then
  if at <= started or at < out or (at == out and ARGV[2] <= source) then
    return 0
  end
  redis.call('HSET', KEYS[1], 'out', string.format('%.0f', at) .. ' ' .. ARGV[2])
  redis.call('PERSIST', KEYS[1])
  redis.call('ZADD', KEYS[3], string.format('%.0f', at), ARGV[5])
  return 1
end

if at > started then
  redis.call('HSET', KEYS[2], ':start', string.format('%.0f', at))
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
if out == 0 or at < out then
  return 0
end
redis.call('HDEL', KEYS[1], 'out')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('ZREM', KEYS[3], ARGV[5])
return 1
