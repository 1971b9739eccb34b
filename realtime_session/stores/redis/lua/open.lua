-- KEYS: sids, due, users, session. ARGV: now, sid, as_of or '', the record's fields.
-- Answers the record as stored, nothing where the session has ended.
local now, sid, as_of = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local sids, due, users, session = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local known = read(session)
if known and is_ended(known) then
  return {text(now), false}
end
if known then
  redis.call('ZREM', users, known[USER_ID] .. '\0' .. sid)
end
local record, stored = {}, {}
for position, field in ipairs(FIELDS) do
  record[position] = ARGV[position + 3]
end
if as_of then
  for _, position in ipairs(INSTANTS) do
    local instant = tonumber(record[position])
    record[position] = instant and text(instant + (now - as_of)) or ''
  end
end
for position, field in ipairs(FIELDS) do
  stored[2 * position - 1], stored[2 * position] = field, record[position]
end
redis.call('HSET', session, unpack(stored))
redis.call('ZADD', sids, 0, sid)
redis.call('ZADD', due, text(deadline(record)), sid)
redis.call('ZADD', users, 0, record[USER_ID] .. '\0' .. sid)
return {text(now), record}
