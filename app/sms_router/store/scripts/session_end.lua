-- Ends a session of the console before its time, or only tells whether that was done: 1 or 0.
-- KEYS: the session   ARGV: ms until it would end by itself, empty to tell
if ARGV[1] ~= '' then
    redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
end
return redis.call('EXISTS', KEYS[1])
