-- KEYS: due, session. ARGV: now, sid, then for each change a position, a kind and a value: 'number', 'none',
-- 'from now' for a number of seconds, 'text'. Answers 1 if there was a live session, else 0.
local now, sid = clock(ARGV[1]), ARGV[2]
local due, session = KEYS[1], KEYS[2]
local value = read(session)
local record = numbers(value)
local strings = record and texts(value)
if not strings or is_ended(record) then
  return 0
end
for i = 3, #ARGV, 3 do
  local position, kind, given = tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2]
  if kind == 'text' then
    strings[position] = given
  elseif kind == 'none' then
    record[position] = math.huge
  else
    record[position] = tonumber(given) + (kind == 'from now' and now or 0)
  end
end
write_all(session, record, strings)
redis.call('ZADD', due, text(deadline(record)), sid)
return 1
