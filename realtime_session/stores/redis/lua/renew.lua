-- KEYS: the tabs of sessions. ARGV: now, process, lease.
-- `leases` stays as it is, a lower bound: leave.lua looks at the tabs.
local ends_at = text(clock(ARGV[1]) + tonumber(ARGV[3]))
for _, tabs in ipairs(KEYS) do
  if redis.call('HEXISTS', tabs, ARGV[2]) == 1 then
    redis.call('HSET', tabs, ARGV[2], ends_at)
  end
end
