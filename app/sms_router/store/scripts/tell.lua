-- Tells all workers something, where nothing can be written: a full Redis still takes that.
-- KEYS: any that Redis holds   ARGV: channel, what
return redis.call('PUBLISH', ARGV[1], ARGV[2])
