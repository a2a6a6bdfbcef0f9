-- What the scripts of fair locks begin with; the one that mints stands in front of it. Those who wait stand in a sorted set, by
-- when they came, each behind all who were there; a hash says until when each process counts as alive, in microseconds: by its
-- inbox if it hears of grants, by the value of each of its claims if it asks.
--   KEYS[1]  the lock's key
--   KEYS[2]  the sorted set of those who wait: `confirm;fenced;inbox;claim;value`
--   KEYS[3]  the hash of those who live
--   KEYS[4]  the stream of the lock's fences
--   ARGV[1]  our value
-- Returns nothing: it is no script by itself.
local call, key, queue, lives, fences, value = redis.call, KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1]
local now, at

-- The time as a number of microseconds, and as it was told: numbers are written slowly.
local function read_clock()
  local time = call('TIME')
  now = time[1] * 1000000 + time[2]
  at = time[1] .. ' ' .. time[2]
end

-- Gives the lock to the first of those who wait and live, and tells it: the key, its value, its claim, the time and its fence, in
-- lines; for as long as it takes to confirm that. Gives its value, or nil if there is nobody. All that stands between a release
-- and the next holder is here, and is done by as few commands and texts as it takes.
local function pass_on()
  while true do
    local place = call('ZPOPMIN', queue)[1]
    if not place then
      return nil
    end
    local confirm, fenced, inbox, claim, next = string.match(place, '(.-);(.-);(.-);(.-);(.*)')
    local told, till = 0, call('HGET', lives, inbox)
    if till and tonumber(till) >= now then
      local fence = fenced == '1' and mint(fences, 604800000) or ''
      told = redis.pcall('PUBLISH', inbox, key .. '\n' .. next .. '\n' .. claim .. '\n' .. at .. '\n' .. fence)
    end
    -- Nobody is told if the process has gone: then the next one's turn has come, unless this one asks.
    if told == 0 then
      till = call('HGET', lives, next)
    end
    -- Where we may not publish, whoever it is finds out when it asks.
    if told ~= 0 or till and tonumber(till) >= now then
      call('SET', key, next, 'PX', confirm)
      return next
    end
  end
end
