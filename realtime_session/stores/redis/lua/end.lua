-- KEYS: due, ended, users, keys, sessions. ARGV: now, the reason or '' for only if due, the call's own token,
-- a blank value, the sid of each session. Answers now, and the value of each that this call ended, or nothing.
local now, given, token, blank = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local due, ended, users, keys = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local won = {}

local function try(session, sid)
  local value = read(session)
  if not value then
    return false
  end
  local record, strings, is_read = parts(value, blank)
  if is_ended(record) then
    -- The same call again, because the answer to the first was lost: it won.
    return strings[WON_BY] == token and value
  end
  local phase, reason = evaluate(record, now)
  if not is_read then
    phase, reason = 'ended', 'unknown'
  end
  if given == '' and phase ~= 'ended' then
    return false
  end
  record[ENDED_AT] = now
  strings[END_REASON], strings[WON_BY] = given ~= '' and given or reason, token
  redis.call('ZREM', due, sid)
  redis.call('ZREM', users, strings[USER_ID] .. '\0' .. sid)
  redis.call('ZADD', ended, text(now), sid)
  if strings[SESSION_KEY] ~= '' then
    redis.call('ZADD', keys, 0, strings[SESSION_KEY] .. '\0' .. sid)
  end
  return write_all(session, record, strings)
end

for i = 5, #KEYS do
  won[i - 4] = try(KEYS[i], ARGV[i])
end
return {text(now), won}
