-- KEYS: due, sessions. ARGV: now, the sid of each session.
-- Answers the sids that are past their deadline, or cannot be read; gives the others their true place in `due`.
local now, due = clock(ARGV[1]), KEYS[1]
local found = {}
for i = 2, #KEYS do
  local sid = ARGV[i]
  local value = read(KEYS[i])
  local record = numbers(value)
  if not value or record and is_ended(record) then
    redis.call('ZREM', due, sid)
  elseif not record or deadline(record) <= now then
    found[#found + 1] = sid
  else
    redis.call('ZADD', due, text(deadline(record)), sid)
  end
end
return found
