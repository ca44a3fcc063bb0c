-- Stands before other scripts where replies to a person are counted.
-- Counts one, and returns how many there were lately. They are counted for ``lasts`` ms from the first one on;
-- who gets more than ``most`` begins anew with each. What lasts longer is from before the clock was set back.
local function count_reply(counter, most, lasts)
  local count = redis.call('INCR', counter)
  if count == 1 or count > tonumber(most) or redis.call('PTTL', counter) > tonumber(lasts) then
    redis.call('PEXPIRE', counter, lasts)
  end
  return count
end

