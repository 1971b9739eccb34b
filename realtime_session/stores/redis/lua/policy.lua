-- policy.py in Lua: what the facts about a session mean at an instant. Both must always say the same, which
-- the tests in tests/stores hold them to.
--
-- A record is the list of its numbers; infinity stands for None. The names of their positions and of those of
-- its texts (LAST_ACTIVITY_AT, USER_ID, …) come from records.py. Each other script has before it the functions
-- that it calls, for which scripts.py reads this file: a function calls only those above it.

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

-- The value of a key, false where there is none: to MGET, too, what is no string is not there.
local function read(key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and value
end

-- The numbers of a value, nothing where there is none or it is of another layout.
local function numbers(value)
  return value and string.byte(value, SIZE + 1) == LAYOUT and {struct.unpack(NUMBERS, value)} or nil
end

-- The texts of a value, nothing where they cannot be read.
local function texts(value)
  local is_read, strings = pcall(cmsgpack.unpack, string.sub(value, SIZE + 2))
  if not is_read or type(strings) ~= 'table' then
    return nil
  end
  for i = 1, TEXT_COUNT do
    if type(strings[i]) ~= 'string' then
      return nil
    end
  end
  return strings
end

-- Both parts of a value that is there, of `blank` where it cannot be read, and whether it could.
local function parts(value, blank)
  local record = numbers(value)
  if not record then
    return numbers(blank), texts(blank), false
  end
  return record, texts(value) or texts(blank), true
end

-- Writes the numbers and leaves the texts as they are.
local function write(session, record)
  redis.call('SETRANGE', session, 0, struct.pack(NUMBERS, unpack(record, 1, COUNT)))
end

-- Writes both, and returns the value.
local function write_all(session, record, strings)
  local value = struct.pack(NUMBERS, unpack(record, 1, COUNT)) .. string.char(LAYOUT) .. cmsgpack.pack(strings)
  redis.call('SET', session, value)
  return value
end

local function is_ended(record)
  return record[ENDED_AT] < math.huge
end

-- When the session ends if nothing more happens and a tab stays open, why, and the idle timeout that holds.
local function expiry(record)
  local idle, cap = record[IDLE_TIMEOUT], record[IDLE_CAP]
  if cap ~= 0 and cap < idle then
    idle = cap
  end
  local idle_end_at = record[LAST_ACTIVITY_AT] + idle
  local absolute_end_at = math.min(record[FIXED_END_AT], record[STARTED_AT] + record[ABSOLUTE_TIMEOUT])
  if absolute_end_at <= idle_end_at then
    return absolute_end_at, 'absolute', idle
  end
  return idle_end_at, 'idle', idle
end

local function deadline(record)
  local at = math.min(expiry(record), record[CLOSING_AT])
  -- What is not a number has passed: see evaluate. No index would take it.
  return at == at and at or 0
end

-- The phase at an instant, and the reason of an end that nobody has written down yet.
local function evaluate(record, at)
  if record[ENDED_AT] < math.huge then
    return 'ended'
  end
  local expires_at, reason, idle = expiry(record)
  local closing_at, warn_before = record[CLOSING_AT], record[WARN_BEFORE]
  if closing_at <= at and closing_at <= expires_at then
    return 'ended', 'closed'
  end
  local expires_in = expires_at - at
  -- Not `<= 0`, which is not true of what is not a number.
  if not (expires_in > 0) then
    return 'ended', reason
  end
  if idle <= warn_before then
    warn_before = idle / 2
  end
  return expires_in <= warn_before and 'warning' or 'active'
end
