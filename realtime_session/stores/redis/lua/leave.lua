-- KEYS: leases, due, then a session and its tabs for each. ARGV: now, a process or '', the sid of each session.
-- Takes away the process, or without one those whose lease ran out; Record.left where none remains.
local now, process = clock(ARGV[1]), ARGV[2]
local leases, due = KEYS[1], KEYS[2]

-- The earliest end of the leases that remain, nothing if there is none.
local function remaining(tabs)
  local earliest
  local held = redis.call('HGETALL', tabs)
  for i = 1, #held, 2 do
    local ends_at = tonumber(held[i + 1]) or 0
    if ends_at <= now then
      redis.call('HDEL', tabs, held[i])
    else
      earliest = math.min(earliest or ends_at, ends_at)
    end
  end
  return earliest
end

local function close(session, sid)
  local record = numbers(read(session))
  if not record or is_ended(record) then
    return
  end
  if record[TAB_CLOSE_GRACE] == math.huge or record[PAGED_AT] > record[JOINED_AT] then
    return
  end
  record[CLOSING_AT] = now + record[TAB_CLOSE_GRACE]
  write(session, record)
  redis.call('ZADD', due, text(deadline(record)), sid)
end

for i = 3, #KEYS, 2 do
  local sid = ARGV[(i + 3) / 2]
  if process == '' or redis.call('HDEL', KEYS[i + 1], process) == 1 then
    local earliest = remaining(KEYS[i + 1])
    if earliest then
      redis.call('ZADD', leases, text(earliest), sid)
    elseif redis.call('ZREM', leases, sid) == 1 then
      close(KEYS[i], sid)
    end
  end
end
