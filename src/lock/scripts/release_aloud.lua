-- Deletes a lock if it still has the value that its holder gave it, and tells those who wait for it.
--   KEYS[1]  the lock's key
--   ARGV[1]  the holder's value
--   ARGV[2]  the channel on which waiters listen
--   ARGV[3]  who is telling
-- Returns 0 if the key is gone or has another value; otherwise 1, and 1 more for everybody who has been told.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  return 1 + redis.call('PUBLISH', ARGV[2], ARGV[3])
end
return 0
