-- Publishes to all workers, where nothing can be written: a full Redis still takes that.
local key = unpack(KEYS)
local channel, payload = unpack(ARGV)
local workers = redis.pcall('PUBLISH', channel, payload)
return type(workers) == 'number' and workers or 0
