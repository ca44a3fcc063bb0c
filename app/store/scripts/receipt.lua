-- Stores a delivery status: only a higher rank is news, whatever the order of arrival.
-- KEYS: receipt, record of the message it answers (or the receipt again)
-- ARGV: status, rank, error code or "", sender or "", reply or "", retention ms, outgoing message sid
local rank = redis.call('HGET', KEYS[1], 'rank')
if rank and tonumber(ARGV[2]) <= tonumber(rank) then
  return 0
end
redis.call('HSET', KEYS[1], 'status', ARGV[1], 'rank', ARGV[2], 'error_code', ARGV[3], 'sender', ARGV[4],
  'reply', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
if KEYS[2] ~= KEYS[1] then
  redis.call('HSET', KEYS[2], 'sent:' .. ARGV[7], ARGV[5])
  if redis.call('PTTL', KEYS[2]) < 0 then
    redis.call('PEXPIRE', KEYS[2], ARGV[6])
  end
end
return 1
