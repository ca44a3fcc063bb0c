-- Returns the epoch of a bucket's opt-outs ("" where Redis has lost it, or never had one), and so many entries of the
-- list with their times, from one on, the newest first.
local opt_outs, consent_epoch = unpack(KEYS)
local first, count = unpack(ARGV)
return {redis.call('GET', consent_epoch) or '', tonumber(count) > 0
  and redis.call('ZREVRANGE', opt_outs, first, first + count - 1, 'WITHSCORES') or {}}
