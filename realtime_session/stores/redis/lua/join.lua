-- KEYS: leases, session, tabs. ARGV: now, sid, process, lease.
local now, sid, process = clock(ARGV[1]), ARGV[2], ARGV[3]
local leases, session, tabs = KEYS[1], KEYS[2], KEYS[3]
local record = read(session)
if record and evaluate(record, now) ~= 'ended' then
  local until_ = text(now + tonumber(ARGV[4]))
  redis.call('HSET', tabs, process, until_)
  redis.call('ZADD', leases, 'LT', until_, sid)
  redis.call('HSET', session, 'joined_at', text(now), 'closing_at', '')
end
