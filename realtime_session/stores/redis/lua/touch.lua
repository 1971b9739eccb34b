-- KEYS: sessions. ARGV: now, extend, page, the age of the activity of each session.
-- Answers now, and each record as it was or nothing. What counts is said by policy.touched.
local now, extend, page = clock(ARGV[1]), ARGV[2] == '1', ARGV[3] == '1'
local answer = {text(now)}
for i, session in ipairs(KEYS) do
  local record = read(session)
  answer[i + 1] = record
  if record then
    local at = now - tonumber(ARGV[i + 3])
    local phase = evaluate(record, at)
    local changes = {}
    if page and phase ~= 'ended' and at > tonumber(record[PAGED_AT]) then
      changes = {'paged_at', text(at), 'closing_at', ''}
    end
    local allowed = phase == 'active'
      or phase == 'warning' and (extend or record[ACTIVITY_EXTENDS_IN_WARNING] == '1')
    if allowed and at > tonumber(record[LAST_ACTIVITY_AT]) then
      changes[#changes + 1] = 'last_activity_at'
      changes[#changes + 1] = text(at)
    end
    -- No index to bring up to date: the deadline only moves away, and `due` is a lower bound.
    if #changes > 0 then
      redis.call('HSET', session, unpack(changes))
    end
  end
end
return answer
