-- KEYS: begun. ARGV: now.
-- Answers now, and since when this partition holds what it was told: since now, if nobody has noted it.
local now = text(clock(ARGV[1]))
local begun = redis.call('GET', KEYS[1])
if not begun then
  begun = now
  redis.call('SET', KEYS[1], begun)
end
return {now, begun}
