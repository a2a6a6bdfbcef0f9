-- Begins a new lease for a lock that still has the value that its holder gave it.
--   KEYS[1]  the lock's key
--   ARGV[1]  the holder's value
--   ARGV[2]  the new lease in milliseconds, counted from now
-- Returns 1 if the lease was renewed, 0 if the key is gone or has another value.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
