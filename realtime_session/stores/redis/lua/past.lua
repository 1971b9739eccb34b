-- KEYS: a sorted set. ARGV: now, age, limit.
-- Answers the members whose score is at least `age` seconds ago, each followed by its score.
local before = clock(ARGV[1]) - tonumber(ARGV[2])
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', text(before), 'WITHSCORES', 'LIMIT', 0, ARGV[3])
