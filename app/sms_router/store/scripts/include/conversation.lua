-- One message of a contact at a time, in the order of arrival, and the state of the conversation that is kept
-- from one message to the next.
--
-- Fields of the conversation: `holder` is the message that was claimed last; it holds the lock while its lease
-- lasts, so that a crashed worker blocks no other. `queue` lists the messages that wait, each with the time until
-- which its place is kept. `state` is what the handler stored at `changed_at`, valid until `expires_at`.
local IDLE_TTL_MS, PLACE_MS, MAX_QUEUE = 3600000, 1000, 32

-- Takes the lock, or a place in the queue. Returns {"locked", ms, reference of the message that is first}, or
-- nil, the state, and the ms for which it is still valid. A lease or a place that seems to last longer than
-- any dates from before Redis' clock was set back, and is cut short.
local function lock_conversation(conversation, message, reference, lease_ms, now)
  local holder, queue, state, expires_at =
    unpack(redis.call('HMGET', conversation, 'holder', 'queue', 'state', 'expires_at'))
  local first, wait_ms = nil, 0
  if holder and holder ~= reference then
    local holder_key = string.sub(message, 1, -1 - #reference) .. holder
    wait_ms = tonumber(redis.call('HGET', holder_key, 'lease_until') or 0) - now
    if wait_ms > lease_ms then
      wait_ms = lease_ms
      redis.call('HSET', holder_key, 'lease_until', now + lease_ms)
    end
    if wait_ms > 0 then
      first = holder
      redis.call('HSET', holder_key, 'awaited', 1)
    end
  end
  if first or queue then
    local places, is_queued = {}, false
    for queued, place_until in string.gmatch(queue or '', '(%S+) (%d+)') do
      if queued == reference then
        is_queued = true
        if first then
          table.insert(places, queued .. ' ' .. now + PLACE_MS)
        end
      elseif tonumber(place_until) > now then
        place_until = math.min(tonumber(place_until), now + PLACE_MS)
        table.insert(places, queued .. ' ' .. place_until)
        if not first and not is_queued then
          first, wait_ms = queued, place_until - now
        end
      end
    end
    if first and not is_queued and #places < MAX_QUEUE then
      table.insert(places, reference .. ' ' .. now + PLACE_MS)
    end
    if #places > 0 then
      redis.call('HSET', conversation, 'queue', table.concat(places, ' '))
    else
      redis.call('HDEL', conversation, 'queue')
    end
  end
  if not first then
    redis.call('HSET', conversation, 'holder', reference)
  end
  if not state or redis.call('PTTL', conversation) < IDLE_TTL_MS then
    redis.call('PEXPIRE', conversation, IDLE_TTL_MS)
  end
  if first then
    return {'locked', wait_ms, first}
  end
  return nil, state, expires_at and expires_at - now
end

--- @include "timer"
-- Stores what a message makes of the conversation, once, and only while it holds the lock: "" changes nothing,
-- "-" ends the conversation, "!" ends it whoever holds the lock. The state is valid for `valid_ms` and deleted
-- after `ttl_ms`. Unless `keep_lock`, the lock is released. A change that was made at `given` and comes later holds
-- unless there was a newer one, whoever has the lock; `given` is "" for now. The timer, "" where nobody waits for it, is
-- due among the events when the state expires.
local function update_conversation(conversation, reference, state, valid_ms, ttl_ms, timer, now, keep_lock,
  given)
  local holder, changed_at = unpack(redis.call('HMGET', conversation, 'holder', 'changed_at'))
  local at = given ~= '' and math.min(tonumber(given), now) or now
  local is_newer = given ~= '' and tonumber(changed_at or 0) < at
  if state ~= '' and (is_newer or given == '' and (state == '!' or holder == reference)) then
    if state == '-' or state == '!' then
      redis.call('HDEL', conversation, 'state', 'expires_at', 'changed_at')
    else
      redis.call('HSET', conversation, 'state', state, 'expires_at', at + tonumber(valid_ms), 'changed_at', at)
      redis.call('PEXPIRE', conversation, ttl_ms)
    end
    set_timer(conversation, timer, state, at + tonumber(valid_ms), ttl_ms)
  end
  if state == '!' and given == '' or holder == reference and not keep_lock then
    redis.call('HDEL', conversation, 'holder')
  end
end
