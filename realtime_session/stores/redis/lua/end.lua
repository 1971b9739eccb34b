-- KEYS: due, ended, users, keys, sessions. ARGV: now, the reason or '' for only if due, the call's own token,
-- the sid of each session. Answers now, and the ended record of each that this call won, or nothing.
local now, given, token = clock(ARGV[1]), ARGV[2], ARGV[3]
local due, ended, users, keys = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local answer = {text(now)}

local function won(session, sid)
  local record = read(session)
  if not record then
    return false
  end
  if is_ended(record) then
    -- The same call again, because the answer to the first was lost: it won.
    return redis.call('HGET', session, 'won_by') == token and record
  end
  local phase, reason = evaluate(record, now)
  if given == '' and phase ~= 'ended' then
    return false
  end
  record[ENDED_AT], record[END_REASON] = text(now), given ~= '' and given or reason
  redis.call('HSET', session, 'ended_at', record[ENDED_AT], 'end_reason', record[END_REASON], 'won_by', token)
  redis.call('ZREM', due, sid)
  redis.call('ZREM', users, record[USER_ID] .. '\0' .. sid)
  redis.call('ZADD', ended, record[ENDED_AT], sid)
  if record[SESSION_KEY] ~= '' then
    redis.call('ZADD', keys, 0, record[SESSION_KEY] .. '\0' .. sid)
  end
  return record
end

for i = 5, #KEYS do
  answer[i - 3] = won(KEYS[i], ARGV[i - 1])
end
return answer
