-- Gives a lock that still has the value of its holder to the next one, with a new lease and a fence of its own.
--   KEYS[1]  the lock's key
--   KEYS[2]  the stream of its fences
--   ARGV[1]  the holder's value
--   ARGV[2]  the next holder's value
--   ARGV[3]  the next holder's lease in milliseconds, counted from now
--   ARGV[4]  for how many milliseconds the stream is kept
-- Returns the fence, as a status, if the lock is the next holder's; 0 if the key is gone or has another value.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  local fence = mint(KEYS[2], ARGV[4])
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return redis.status_reply(fence)
end
return 0
