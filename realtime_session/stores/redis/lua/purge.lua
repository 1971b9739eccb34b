-- KEYS: sids, finished, keys, sessions. ARGV: for each session its sid and its session key.
-- Answers how many records there were.
local sids, finished, keys = KEYS[1], KEYS[2], KEYS[3]
local count = 0
for i = 4, #KEYS do
  local sid, key = ARGV[2 * i - 7], ARGV[2 * i - 6]
  local record = numbers(read(KEYS[i]))
  -- A live one was opened after the tombstone had expired.
  if not record or is_ended(record) then
    count = count + redis.call('DEL', KEYS[i])
    redis.call('ZREM', sids, sid)
  end
  redis.call('ZREM', keys, key .. '\0' .. sid)
  redis.call('ZREM', finished, sid .. '\0' .. key)
end
return count
