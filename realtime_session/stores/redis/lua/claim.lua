-- KEYS: ended, sessions. ARGV: now, age, the call's own token, a blank value, the sid of each session.
-- Answers now, and the value of each end that is unfinished and that nobody claimed for so long, or nothing.
local now, age, token, blank = clock(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local ended = KEYS[1]
local won = {}

local function try(session, sid)
  local claimed_at = tonumber(redis.call('ZSCORE', ended, sid) or '')
  local value = read(session)
  local known = numbers(value)
  -- A live one was opened after its tombstone had been evicted.
  if not claimed_at or not value or known and not is_ended(known) then
    redis.call('ZREM', ended, sid)
    return false
  end
  local record, strings = parts(value, blank)
  if not known then
    record[ENDED_AT] = claimed_at
  end
  if claimed_at > now - age then
    -- The same call again, because the answer to the first was lost: it won.
    return strings[WON_BY] == token and value
  end
  strings[WON_BY] = token
  redis.call('ZADD', ended, text(now), sid)
  return write_all(session, record, strings)
end

for i = 2, #KEYS do
  won[i - 1] = try(KEYS[i], ARGV[i + 3])
end
return {text(now), won}
