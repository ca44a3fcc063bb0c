-- Appends an entry to a stream, removes the entries that are older than the retention, and returns the id of
-- the new one. It takes `now` as an argument: a local of the script that a function captures costs more.
--- @include "now"
local function append(stream, now, retention_ms, ...)
  local id = redis.call('XADD', stream, 'MINID', '~', now - retention_ms, '*', ...)
  redis.call('PEXPIRE', stream, retention_ms)
  return id
end
