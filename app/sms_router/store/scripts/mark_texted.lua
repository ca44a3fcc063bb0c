-- Stores when a pending number was first texted. Returns 0 where the number is not pending, else 1.
local checklists, texted, checklists_version = unpack(KEYS)
local number, texted_at = unpack(ARGV)
if redis.call('HEXISTS', checklists, number) == 0 then
  return 0
end
if redis.call('HSETNX', texted, number, texted_at) == 1 then
  redis.call('INCR', checklists_version)
end
return 1
