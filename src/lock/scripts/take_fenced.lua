-- Takes a lock that is free, or that has our value from an earlier attempt, and mints the fence of its new holder.
--   KEYS[1]  the lock's key
--   KEYS[2]  the stream of its fences
--   ARGV[1]  our value
--   ARGV[2]  the lease in milliseconds, counted from now
--   ARGV[3]  for how many milliseconds the stream is kept
-- Returns the fence, as a status, if the lock is ours; otherwise the holder's value.
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then
  return held
end
local fence = mint(KEYS[2], ARGV[3])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return redis.status_reply(fence)
