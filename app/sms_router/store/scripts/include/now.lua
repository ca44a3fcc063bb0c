-- `now` is the time by Redis' clock, in milliseconds since the epoch.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
