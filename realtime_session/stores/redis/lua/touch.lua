-- KEYS: sessions. ARGV: now, extend, page, the age of the activity of each session.
-- Answers now, and each value as it was or nothing. What counts is said by policy.touched.
local now, extend, page = clock(ARGV[1]), ARGV[2] == '1', ARGV[3] == '1'
local values = redis.call('MGET', unpack(KEYS))
for i, session in ipairs(KEYS) do
  local record = numbers(values[i])
  if record then
    local at = now - tonumber(ARGV[i + 3])
    local phase = evaluate(record, at)
    local counts = false
    if page and phase ~= 'ended' and at > record[PAGED_AT] then
      record[PAGED_AT], record[CLOSING_AT], counts = at, math.huge, true
    end
    local allowed = phase == 'active'
      or phase == 'warning' and (extend or record[ACTIVITY_EXTENDS_IN_WARNING] == 1)
    if allowed and at > record[LAST_ACTIVITY_AT] then
      record[LAST_ACTIVITY_AT], counts = at, true
    end
    if counts then
      -- The first three numbers. No index follows: the deadline only moves away, and `due` is a lower bound.
      redis.call('SETRANGE', session, 0, struct.pack('>ddd', record[1], record[2], record[3]))
    end
  end
end
return {text(now), values}
