-- Deletes a lock if it still has the value that its holder gave it, and tells those who wait for it.
--   KEYS[1]  the lock's key
--   ARGV[1]  the holder's value
--   ARGV[2]  the channel on which waiters listen
--   ARGV[3]  who is telling
-- Returns 0 if the key is gone or has another value; otherwise 1, and 1 more for everybody who has been told.
-- Where the user may not publish, nobody is told, and the key is deleted all the same.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
  local told = redis.pcall('PUBLISH', ARGV[2], ARGV[3])
  return 1 + (tonumber(told) or 0)
end
return 0
