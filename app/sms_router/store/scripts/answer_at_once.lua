-- Stands before the opening of a message (open.lua) where its answer needs nobody's work.
-- A new message is then claimed, journaled and answered in one step, if nothing is known of the person and
-- they have not had a reply too many; otherwise it is opened like any other.
-- KEYS: record, journal, person, replies counted lately
-- ARGV, behind those of the opening: answer, outcome, story, replies beyond which one is too many or "",
--       ms that they are counted
local function answer_at_once(now)
  if redis.call('EXISTS', KEYS[3]) == 1 then
    return false
  end
  if ARGV[10] ~= '' then
    if count_reply(KEYS[4], ARGV[10], ARGV[11]) > tonumber(ARGV[10]) then
      redis.call('DECR', KEYS[4]) -- it is counted once it is answered
      return false
    end
  end
  redis.call('HSET', KEYS[1], 'request', ARGV[5], 'received', now, 'attempts', 1,
    'answer', ARGV[7], 'outcome', ARGV[8], 'story', ARGV[9], 'answered', now)
  return true
end

