-- Stands before other scripts where there are conversations: one message of a person at a time, in the order
-- in which they came, and what is kept of the conversation between two of them.
-- The turn is the last claimer's, for as long as its lease on its message lives: whoever crashes blocks nobody.

local TURN, PLACE, LONGEST_LINE = 3600000, 1000, 32

-- Takes the turn, or a place in the line. Returns {"turn", ms, reference} of who is first, else nothing, what
-- is kept of the conversation, and for how many ms it holds still. What lasts longer than a lease of ``lease``
-- ms does, or a place, is from before the clock was set back, and begins anew.
local function take_turn(talk, record, reference, lease, now)
  local kept = redis.call('HMGET', talk, 'turn', 'line', 'said', 'until')
  local first, left = nil, 0
  if kept[1] and kept[1] ~= reference then
    local theirs = string.sub(record, 1, -1 - #reference) .. kept[1]
    left = tonumber(redis.call('HGET', theirs, 'lease') or 0) - now
    if left > lease then
      left = lease
      redis.call('HSET', theirs, 'lease', now + lease)
    end
    if left > 0 then
      first = kept[1]
      redis.call('HSET', theirs, 'awaited', 1)
    end
  end
  if first or kept[2] then
    local line, known = {}, false
    for each, seen in string.gmatch(kept[2] or '', '(%S+) (%d+)') do
      if each == reference then
        known = true
        if first then
          table.insert(line, each .. ' ' .. now + PLACE)
        end
      elseif tonumber(seen) > now then
        seen = math.min(tonumber(seen), now + PLACE)
        table.insert(line, each .. ' ' .. seen)
        if not first and not known then
          first, left = each, seen - now
        end
      end
    end
    if first and not known and #line < LONGEST_LINE then
      table.insert(line, reference .. ' ' .. now + PLACE)
    end
    if #line > 0 then
      redis.call('HSET', talk, 'line', table.concat(line, ' '))
    else
      redis.call('HDEL', talk, 'line')
    end
  end
  if not first then
    redis.call('HSET', talk, 'turn', reference)
  end
  if not kept[3] or redis.call('PTTL', talk) < TURN then
    redis.call('PEXPIRE', talk, TURN)
  end
  if first then
    return {'turn', left, first}
  end
  return nil, kept[3], kept[4] and kept[4] - now
end

-- Keeps what a message has made of the conversation, once and only in its turn: "" nothing, "-" it is over,
-- "!" it is over whoever's turn it is. ``ttl`` is how many ms it is told apart from none after ``lasts``.
local function keep_talk(talk, reference, said, lasts, ttl, now, goes_on)
  if said == '!' then
    redis.call('HDEL', talk, 'said', 'until', 'turn')
    return
  end
  if redis.call('HGET', talk, 'turn') ~= reference then
    return
  end
  if said == '-' then
    redis.call('HDEL', talk, 'said', 'until')
  elseif said ~= '' then
    redis.call('HSET', talk, 'said', said, 'until', now + tonumber(lasts))
    redis.call('PEXPIRE', talk, ttl)
  end
  if not goes_on then
    redis.call('HDEL', talk, 'turn')
  end
end

