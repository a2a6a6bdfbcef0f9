-- Gives a fair lock that is ours to the first of those who wait, or frees it; leaves the line if it is not ours.
--   KEYS     as above
--   ARGV[1]  our value
--   ARGV[2]  `confirm;fenced;inbox;`, as we stand in line
--   ARGV[3]  our claim
-- Returns 2 if somebody has the lock now, 1 if nobody waits for it, 0 if it was not ours.
if redis.pcall('GET', key) ~= value then
  call('ZREM', queue, ARGV[2] .. ARGV[3] .. ';' .. value)
  call('HDEL', lives, value)
  if call('EXISTS', queue) == 0 then
    call('DEL', lives)
  end
  return 0
end
read_clock()
if pass_on() then
  return 2
end
call('DEL', key, lives)
return 1
