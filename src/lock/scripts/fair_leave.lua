-- Gives a fair lock that is ours to the first of those who wait, or frees it; leaves the line if it is not ours.
--   KEYS     as above
--   ARGV[1]  our value
-- Returns 2 if somebody has the lock now, 1 if nobody waits for it, 0 if it was not ours.
if redis.call('GET', key) ~= ARGV[1] then
  forget(ARGV[1])
  return 0
end
if pass_on() then
  return 2
end
redis.call('DEL', key)
return 1
