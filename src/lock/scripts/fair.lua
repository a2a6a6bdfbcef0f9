-- What the scripts of fair locks begin with; the one that mints stands in front of it. Those who wait stand in a sorted set, by
-- when they came; a hash says until when each process counts as alive, in microseconds: by its inbox if it hears of grants, by the
-- value of each of its claims if it asks.
--   KEYS[1]  the lock's key
--   KEYS[2]  the sorted set of those who wait: `confirm;fenced;inbox;claim;value`
--   KEYS[3]  the hash of those who live
--   KEYS[4]  the stream of the lock's fences
--   ARGV[1]  our value
-- Returns nothing: it is no script by itself.
local key, queue, lives, fences, value = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1]
local now, at

local function read_clock()
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
  at = string.format('%.0f', now)
end

local function is_alive(who)
  local till = redis.call('HGET', lives, who)
  return till and tonumber(till) >= now
end

-- Gives the lock to the first of those who wait and live, and tells it; for as long as it takes to confirm that. Gives its
-- value, or nil if there is nobody.
local function pass_on()
  while true do
    local place = redis.call('ZPOPMIN', queue)[1]
    if not place then
      return nil
    end
    local confirm, fenced, inbox, claim, next = string.match(place, '^(%d+);([01]);([^;]+);(%d+);(.*)$')
    local told = 0
    if is_alive(inbox) then
      local fence = ''
      if fenced == '1' then
        fence = mint(fences, 604800000)
      end
      told = redis.pcall('PUBLISH', inbox, table.concat({key, next, claim, at, fence}, '\n'))
      if type(told) == 'table' then
        told = 1 -- we may not publish: whoever it is finds out when it asks
      end
    end
    -- Nobody is told if the process has gone: then the next one's turn has come, unless this one asks.
    if told > 0 or is_alive(next) then
      redis.call('SET', key, next, 'PX', confirm)
      return next
    end
  end
end
