-- Counts a reply that leaves by REST, as a commit counts one that leaves at once. Returns by how many it is
-- too many, 0 when it is not.
-- KEYS: replies counted lately   ARGV: replies that are too many beyond, ms that they are counted
local count, most = redis.call('INCR', KEYS[1]), tonumber(ARGV[1])
if count == 1 or count > most or redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return math.max(0, count - most)
