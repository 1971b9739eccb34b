-- KEYS: ended, finished, sessions. ARGV: shortest life of a tombstone in seconds, the sid of each session.
-- A tombstone lives for twice as long as its cookie, should nobody ever purge.
local shortest = tonumber(ARGV[1])
local ended, finished = KEYS[1], KEYS[2]
for i = 3, #KEYS do
  local session, sid = KEYS[i], ARGV[i - 1]
  local value = read(session)
  local record = numbers(value)
  if record and is_ended(record) then
    record[FINISHED] = 1
    write(session, record)
    redis.call('EXPIRE', session, math.ceil(math.min(math.max(shortest, 2 * record[COOKIE_AGE]), LONGEST)))
    redis.call('ZREM', ended, sid)
    -- With the key, so that a purge knows it when the record itself has expired.
    local strings = texts(value)
    redis.call('ZADD', finished, text(record[ENDED_AT]), sid .. '\0' .. (strings and strings[SESSION_KEY] or ''))
  end
end
