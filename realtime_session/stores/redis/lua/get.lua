-- KEYS: sessions. ARGV: now.
-- Answers now, and the value of each session or nothing.
return {text(clock(ARGV[1])), redis.call('MGET', unpack(KEYS))}
