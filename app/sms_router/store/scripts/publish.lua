-- Publishes to all workers, where nothing can be written: a full Redis still takes that.
local key = unpack(KEYS)
local channel, payload = unpack(ARGV)
return redis.call('PUBLISH', channel, payload)
