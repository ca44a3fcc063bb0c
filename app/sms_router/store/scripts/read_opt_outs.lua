-- Returns the epoch of a bucket's opt-outs ("" where Redis has lost it, or never had one), and the newest entries of
-- the list with their times.
local opt_outs, consent_epoch = unpack(KEYS)
local count = unpack(ARGV)
return {redis.call('GET', consent_epoch) or '',
  tonumber(count) > 0 and redis.call('ZREVRANGE', opt_outs, 0, count - 1, 'WITHSCORES') or {}}
