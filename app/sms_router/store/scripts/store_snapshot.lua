-- Stores a snapshot of a Service's pool, or with document "" confirms that the stored one is still what Twilio
-- answers: compared and set in one step. changes is how many changes had been announced before it was read.
-- Returns "stored"; "refused" where a newer or another one is stored; "overtaken" where the Service was changed
-- after it was read.
local snapshot, snapshot_version, change_count = unpack(KEYS)
local version, read_at, changes, document, channel, service_sid = unpack(ARGV)
local announced = tonumber(redis.call('GET', change_count) or '0')
if tonumber(changes) < announced then
  return 'overtaken'
end
local stored = redis.call('EXISTS', snapshot) == 1 and redis.call('GET', snapshot_version) or ''
local stored_version, stored_changes = string.match(stored, '^(%d+) %S+ (%d+)')
stored_version, stored_changes = tonumber(stored_version or '0'), tonumber(stored_changes or '0')
if document == '' then
  if stored_version ~= tonumber(version) then
    return 'refused'
  end
elseif tonumber(changes) == stored_changes and stored_version >= tonumber(version) then
  return 'refused'
else
  redis.call('SET', snapshot, document)
end
if tonumber(changes) > announced then
  redis.call('SET', change_count, changes)
end
redis.call('SET', snapshot_version, version .. ' ' .. read_at .. ' ' .. changes)
redis.pcall('PUBLISH', channel, service_sid)
return 'stored'
