-- KEYS: leases, session, tabs. ARGV: now, sid, process, lease.
local now, sid, process = clock(ARGV[1]), ARGV[2], ARGV[3]
local leases, session, tabs = KEYS[1], KEYS[2], KEYS[3]
local record = numbers(read(session))
if record and evaluate(record, now) ~= 'ended' then
  local ends_at = text(now + tonumber(ARGV[4]))
  redis.call('HSET', tabs, process, ends_at)
  redis.call('ZADD', leases, 'LT', ends_at, sid)
  record[JOINED_AT], record[CLOSING_AT] = now, math.huge
  write(session, record)
end
