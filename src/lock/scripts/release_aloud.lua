-- Deletes a lock if it still has the value that its holder gave it, and tells those who wait for it.
--   KEYS[1]  the lock's key
--   ARGV[1]  the holder's value
--   ARGV[2]  the channel on which waiters listen
-- Returns 1 if the key was deleted, 0 if it is gone or has another value.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('PUBLISH', ARGV[2], '')
  return 1
end
return 0
