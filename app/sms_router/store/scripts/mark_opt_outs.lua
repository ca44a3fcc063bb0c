-- Marks the opt-outs of a bucket as whole, or for `ttl_ms` that operators were warned of a loss, unless they are marked.
-- Returns the mark that holds.
local mark_key = unpack(KEYS)
local mark, ttl_ms = unpack(ARGV)
if ttl_ms == '' then
  redis.call('SET', mark_key, mark, 'NX')
else
  redis.call('SET', mark_key, mark, 'NX', 'PX', ttl_ms)
end
return redis.call('GET', mark_key)
