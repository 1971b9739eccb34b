-- KEYS: ended, sessions. ARGV: now, age, the call's own token, the sid of each session.
-- Answers now, and the record of each end that is unfinished and that nobody claimed for so long, or nothing.
local now, age, token = clock(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local ended = KEYS[1]
local answer = {text(now)}

local function claimed(session, sid)
  local claimed_at = tonumber(redis.call('ZSCORE', ended, sid) or '')
  local record = read(session)
  if not record or not claimed_at then
    redis.call('ZREM', ended, sid)
    return false
  end
  if claimed_at > now - age then
    -- The same call again, because the answer to the first was lost: it won.
    return redis.call('HGET', session, 'won_by') == token and record
  end
  redis.call('HSET', session, 'won_by', token)
  redis.call('ZADD', ended, text(now), sid)
  return record
end

for i = 2, #KEYS do
  answer[i] = claimed(KEYS[i], ARGV[i + 2])
end
return answer
