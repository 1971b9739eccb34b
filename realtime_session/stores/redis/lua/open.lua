-- KEYS: sids, due, users, session. ARGV: now, sid, as_of or '', only if missing, the value.
-- Answers now, and the value as stored, or nothing where the session has ended or is not to be restarted.
local now, sid, as_of, given = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[5]
local sids, due, users, session = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local value = read(session)
local known = numbers(value)
local its_texts = known and texts(value)
-- What cannot be read may have ended.
if value and (ARGV[4] == '1' or not its_texts or is_ended(known)) then
  return {text(now), {false}}
end
if value then
  redis.call('ZREM', users, its_texts[USER_ID] .. '\0' .. sid)
end
local record, strings = numbers(given), texts(given)
if as_of then
  for _, instant in ipairs(INSTANTS) do
    record[instant] = record[instant] + (now - as_of)
  end
end
redis.call('ZADD', sids, 0, sid)
redis.call('ZADD', due, text(deadline(record)), sid)
redis.call('ZADD', users, 0, strings[USER_ID] .. '\0' .. sid)
return {text(now), {write_all(session, record, strings)}}
