-- Calls each command of ARGV with one key as all its arguments, as many as it takes. Returns those that the user may not
-- run; other errors do not count.
local probe = unpack(KEYS)
local denied = {}
for _, command in ipairs(ARGV) do
  local arguments, reply = {}, nil
  repeat
    reply = redis.pcall(command, unpack(arguments))
    table.insert(arguments, probe)
    reply = type(reply) == 'table' and reply.err or ''
  until #arguments > 7 or not string.find(reply, 'rong number of arg')
  for _, refusal in ipairs({'NOPERM', 'ACL failure', 'user executing the script'}) do
    if string.find(reply, refusal) then
      table.insert(denied, command)
    end
  end
end
redis.pcall('DEL', probe)
return denied
