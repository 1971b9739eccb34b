-- KEYS: sids, finished, keys, sessions. ARGV: now, age, for each session its sid and its session key.
-- Answers how many records there were.
local before = clock(ARGV[1]) - tonumber(ARGV[2])
local sids, finished, keys = KEYS[1], KEYS[2], KEYS[3]
local count = 0

-- Whether a session was opened again after the tombstone had expired, and its new record is not to go yet.
local function is_newer(record)
  return not is_ended(record) or record[FINISHED] ~= 1 or record[ENDED_AT] > before
end

for i = 4, #KEYS do
  local sid, key = ARGV[2 * i - 5], ARGV[2 * i - 4]
  local value = read(KEYS[i])
  local record = numbers(value)
  local stays = record and is_newer(record)
  if not stays then
    count = count + redis.call('DEL', KEYS[i])
    redis.call('ZREM', sids, sid)
  end
  local strings = stays and is_ended(record) and texts(value)
  if not strings or strings[SESSION_KEY] ~= key then
    redis.call('ZREM', keys, key .. '\0' .. sid)
  end
  redis.call('ZREM', finished, sid .. '\0' .. key)
end
return count
