-- KEYS: due, session. ARGV: now, sid, then for each change a field, '=' or '+' and a value; '+' adds to now.
-- Answers 1 if there was a live session, else 0.
local now, sid = clock(ARGV[1]), ARGV[2]
local due, session = KEYS[1], KEYS[2]
local record = read(session)
if not record or is_ended(record) then
  return 0
end
for i = 3, #ARGV, 3 do
  local value = ARGV[i + 1] == '+' and text(now + tonumber(ARGV[i + 2])) or ARGV[i + 2]
  redis.call('HSET', session, ARGV[i], value)
end
redis.call('ZADD', due, text(deadline(read(session))), sid)
return 1
