-- Takes a fair lock if it is free and our turn, or ours already; otherwise stands in line for it, and says that we live.
--   KEYS     as above
--   ARGV[1]  our value
--   ARGV[2]  the lease in milliseconds, counted from now
--   ARGV[3]  for how many milliseconds we count as alive from now on; the line ends when nobody in it does
--   ARGV[4]  within how many milliseconds we confirm a grant
--   ARGV[5]  1 if a fence is wanted, 0 if not
--   ARGV[6]  our claim
--   ARGV[7]  the channel on which we are told of a grant; empty if we cannot hear
--   ARGV[8]  1 to stand in line, 0 to try only
-- Returns 1, the time and the fence if the lock is ours; otherwise 0, the time, what is left of the holder's lease, its value
-- and how many stand before us.
local value, waits = ARGV[1], ARGV[8] == '1'

local function stand_in_line()
  if not waits then
    return
  end
  if not redis.call('ZSCORE', queue, value) then
    local last = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2]
    redis.call('ZADD', queue, (tonumber(last) or 0) + 1, value)
  end
  local alive = string.format('%.0f', now + ARGV[3] * 1000)
  redis.call('HSET', records, value, table.concat({alive, ARGV[4], ARGV[5], ARGV[6], ARGV[7]}, ';'))
  redis.call('PEXPIRE', queue, ARGV[3])
  redis.call('PEXPIRE', records, ARGV[3])
end

local held = redis.call('GET', key)
if not held then
  local first = redis.call('ZRANGE', queue, 0, 0)[1]
  if first and first ~= value then
    -- The holder has died, and others have waited for longer.
    stand_in_line()
    held = pass_on()
  end
end
if not held or held == value then
  forget(value)
  local fence = ''
  if ARGV[5] == '1' then
    fence = mint(fences, week)
  end
  redis.call('SET', key, value, 'PX', ARGV[2])
  return {1, at, fence}
end
stand_in_line()
local rank = redis.call('ZRANK', queue, value) or 0
return {0, at, redis.call('PTTL', key), held, rank}
