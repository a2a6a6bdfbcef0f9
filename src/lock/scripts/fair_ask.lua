-- Takes a fair lock if it is free and our turn, or ours already; otherwise stands in line for it, and says that we live.
--   KEYS     as above
--   ARGV[1]  our value
--   ARGV[2]  the lease in milliseconds, counted from now
--   ARGV[3]  `confirm;fenced;inbox;`: within how many milliseconds we confirm a grant, 1 if a fence is wanted and 0 if not, and
--            the channel on which we are told of a grant if we can hear
--   ARGV[4]  our claim
--   ARGV[5]  for how many milliseconds we count as alive from now on; the line ends when nobody in it does
--   ARGV[6]  whose life that is: our inbox if we can hear, and else our value
--   ARGV[7]  1 if a fence is wanted, 0 if not
--   ARGV[8]  1 to stand in line, 0 to try only
-- Returns 1, the fence, and how we come to the lock, if it is ours: 0 if it was free and we did not stand in line, 1 if it was our turn,
-- 2 if it was ours already; otherwise 0, the time as `seconds microseconds`, what is left of the holder's lease, its value, how many
-- stand before us, and 1 if we did not stand there before.
local place = ARGV[3] .. ARGV[4] .. ';' .. value

local function micros(time)
  return string.format('%.0f', time)
end

-- Gives how many stand before us, and whether our place is new.
local function stand_in_line()
  if ARGV[8] ~= '1' then
    return call('ZCARD', queue), 0
  end
  -- Nobody comes before whoever was there, also where the clock has been set back.
  local last = tonumber(call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2])
  local turn = last and last >= now and last + 1 or now
  local anew = call('ZADD', queue, 'NX', micros(turn), place)
  local before = call('ZRANK', queue, place)
  local alive = before > 0 and call('HGET', lives, ARGV[6])
  -- Whoever was heard of lately need not be again; a line that begins has no end yet.
  if not alive or tonumber(alive) < now + ARGV[5] * 800 then
    call('HSET', lives, ARGV[6], micros(now + ARGV[5] * 1000))
    call('PEXPIRE', queue, ARGV[5])
    call('PEXPIRE', lives, ARGV[5])
  end
  return before, anew
end

local held, found = call('GET', key), 2
if held ~= value then
  found = 0
  local first = not held and call('ZRANGE', queue, 0, 0)[1]
  if first == place then
    call('ZREM', queue, place)
    found = 1
  elseif held or first then
    read_clock()
    local before, anew = stand_in_line()
    -- The holder has died if nobody has the lock, and others have waited for longer than we have.
    held = held or pass_on()
    if held and held ~= value then
      return {0, at, call('PTTL', key), held, before, anew}
    end
    found = held and 1 or 0
  end
end
local fence = ''
if ARGV[7] == '1' then
  fence = mint(fences, 604800000)
end
call('SET', key, value, 'PX', ARGV[2])
return {1, fence, found}
