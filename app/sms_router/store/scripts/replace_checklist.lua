-- Replaces the checklist of a number, unless it is no longer the one that was read; "" is for no checklist.
-- Returns 1 when it was replaced, else 0.
local checklists, texted, checklists_version = unpack(KEYS)
local number, expected, checklist, is_finished = unpack(ARGV)
if (redis.call('HGET', checklists, number) or '') ~= expected then
  return 0
end
if checklist == '' then
  redis.call('HDEL', checklists, number)
else
  redis.call('HSET', checklists, number, checklist)
end
if is_finished == '1' then
  redis.call('HDEL', texted, number)
end
redis.call('INCR', checklists_version)
return 1
