-- KEYS: due, sessions. ARGV: now, the sid of each session.
-- Answers the sids that are past their deadline; gives the others their true place in `due`.
local now, due = clock(ARGV[1]), KEYS[1]
local found = {}
for i = 2, #KEYS do
  local sid = ARGV[i]
  local record = numbers(redis.call('GET', KEYS[i]))
  if not record or is_ended(record) then
    redis.call('ZREM', due, sid)
  elseif deadline(record) <= now then
    found[#found + 1] = sid
  else
    redis.call('ZADD', due, text(deadline(record)), sid)
  end
end
return found
