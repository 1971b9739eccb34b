-- policy.py in Lua: what the facts about a session mean at an instant. Both must always say the same, which
-- the contract suite and the model in tests/stores hold them to.
--
-- A record is a list of texts, one for each of FIELDS; '' stands for None. FIELDS, the positions in it
-- (USER_ID, …) and INSTANTS come from records.py. This stands before every other script.

-- 17 digits tell every double from its neighbours: tostring gives 14, and a reply would cut off the fraction.
local function text(number)
  return string.format('%.17g', number)
end

-- Now in epoch seconds: this server's, unless tests gave another.
local function clock(given)
  if given ~= '' then
    return tonumber(given)
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local function read(session)
  local record = redis.call('HMGET', session, unpack(FIELDS))
  return record[USER_ID] and record
end

local function is_ended(record)
  return record[ENDED_AT] ~= ''
end

local function idle_limit(record)
  local timeout, cap = tonumber(record[IDLE_TIMEOUT]), tonumber(record[IDLE_CAP])
  if cap and cap ~= 0 and cap < timeout then
    return cap
  end
  return timeout
end

local function warn_limit(record)
  local idle, warn_before = idle_limit(record), tonumber(record[WARN_BEFORE])
  return idle > warn_before and warn_before or idle / 2
end

-- When the session ends if nothing more happens and a tab stays open, and why.
local function expiry(record)
  local idle_end_at = tonumber(record[LAST_ACTIVITY_AT]) + idle_limit(record)
  local absolute_end_at = tonumber(record[FIXED_END_AT]) or math.huge
  local timeout = tonumber(record[ABSOLUTE_TIMEOUT])
  if timeout then
    absolute_end_at = math.min(absolute_end_at, tonumber(record[STARTED_AT]) + timeout)
  end
  if idle_end_at < absolute_end_at then
    return idle_end_at, 'idle'
  end
  return absolute_end_at, 'absolute'
end

local function deadline(record)
  return math.min(expiry(record), tonumber(record[CLOSING_AT]) or math.huge)
end

-- The phase at an instant, and the reason of the end in phase ended.
local function evaluate(record, at)
  if is_ended(record) then
    return 'ended', record[END_REASON]
  end
  local expires_at, reason = expiry(record)
  local closing_at = tonumber(record[CLOSING_AT])
  if closing_at and closing_at <= math.min(at, expires_at) then
    return 'ended', 'closed'
  end
  local expires_in = expires_at - at
  if expires_in <= 0 then
    return 'ended', reason
  end
  return expires_in <= warn_limit(record) and 'warning' or 'active'
end
