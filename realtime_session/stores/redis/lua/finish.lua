-- KEYS: ended, finished, sessions. ARGV: shortest life of a tombstone in seconds, the sid of each session.
-- A tombstone lives for twice as long as its cookie, should nobody ever purge.
local ended, finished = KEYS[1], KEYS[2]
for i = 3, #KEYS do
  local record, sid = read(KEYS[i]), ARGV[i - 1]
  if record and is_ended(record) then
    redis.call('HSET', KEYS[i], 'finished', '1')
    redis.call('EXPIRE', KEYS[i], math.ceil(math.max(2 * tonumber(record[COOKIE_AGE]), tonumber(ARGV[1]))))
    redis.call('ZREM', ended, sid)
    -- With the key, so that a purge knows it when the record itself has expired.
    redis.call('ZADD', finished, record[ENDED_AT], sid .. '\0' .. record[SESSION_KEY])
  end
end
