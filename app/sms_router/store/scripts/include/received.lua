-- `received` is when the webhook came, by the workers' clocks, which follow that of Redis. A time in the future, or one
-- further back than a connection can be frozen, comes from a clock that was wrong: then it is now.
local MAX_FROZEN_MS = 600000
local received = tonumber(arrived) or now
if received > now or received < now - MAX_FROZEN_MS then
  received = now
end
