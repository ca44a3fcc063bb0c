-- Counts a reply that leaves by REST, as a commit counts one that leaves at once. Returns by how many it is
-- too many, 0 when it is not.
-- KEYS: replies counted lately   ARGV: replies that are too many beyond, ms that they are counted
return math.max(0, count_reply(KEYS[1], ARGV[1], ARGV[2]) - tonumber(ARGV[1]))
