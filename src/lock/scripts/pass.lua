-- Gives a lock that still has the value of its holder to the next one, with a new lease.
--   KEYS[1]  the lock's key
--   ARGV[1]  the holder's value
--   ARGV[2]  the next holder's value
--   ARGV[3]  the next holder's lease in milliseconds, counted from now
-- Returns 1 if the lock is the next holder's, 0 if the key is gone or has another value.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return 1
end
return 0
