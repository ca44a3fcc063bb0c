-- Events wait for the team's handlers in a sorted set of the bucket, each with its record among the messages.
--- @include "append"
local MAX_DUE_EVENTS = 1000

-- Makes a dead letter of an event, which is journaled so that it can be listed, replayed and erased.
local function fail_event(message, journal, dead_letters, reference, cause, now, retention_ms)
  local kind = string.match(redis.call('HGET', message, 'request'), '&Event=([%w_]+)')
  redis.call('HSET', message, 'answer', '<Response/>', 'outcome', 'failed', 'trail', 'event ' .. (kind or ''),
    'answered', now)
  append(journal, now, retention_ms, 'message', reference)
  append(dead_letters, now, retention_ms, 'message', reference, 'cause', cause)
  redis.call('PEXPIRE', message, retention_ms)
end

-- Takes back an event that was raised in the same step.
local function withdraw_event(key, entry)
  if entry ~= '' then
    local tag = string.match(key, '^[^}]*}')
    redis.call('ZREM', tag .. ':events', entry)
    redis.call('DEL', tag .. ':message:' .. string.match(entry, '^%S+'))
  end
end

-- Stores an event once for its entry; with the entry "" no handler takes it. One too many is a dead letter. The
-- keys have the tag of `key`.
local function raise_event(key, entry, request, now, retention_ms)
  if entry == '' then
    return
  end
  local tag, reference = string.match(key, '^[^}]*}'), string.match(entry, '^%S+')
  local message, events = tag .. ':message:' .. reference, tag .. ':events'
  if redis.call('HSETNX', message, 'request', request) == 0 then
    return
  end
  redis.call('HSET', message, 'received', now)
  redis.call('PEXPIRE', message, retention_ms)
  if redis.call('ZCOUNT', events, '-inf', now) >= MAX_DUE_EVENTS then
    local cause = 'event: not handled, because ' .. MAX_DUE_EVENTS .. ' others wait already'
    return fail_event(message, tag .. ':journal', tag .. ':dead-letters', reference, cause, now, retention_ms)
  end
  redis.call('ZADD', events, now, entry)
  redis.call('PEXPIRE', events, math.max(retention_ms, redis.call('PTTL', events)))
end
