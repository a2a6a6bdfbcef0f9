-- What the scripts of fair locks begin with; the one that mints stands in front of it. Those who wait stand in a sorted set, in
-- the order of their tickets; a hash says of each until when it counts as alive, in microseconds, and how to reach it.
--   KEYS[1]  the lock's key
--   KEYS[2]  the sorted set of those who wait: values, by their tickets
--   KEYS[3]  the hash of their records: `until;confirm;fenced;claim;inbox`
--   KEYS[4]  the stream of the lock's fences
-- Returns nothing: it is no script by itself.
local key, queue, records, fences = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local at = string.format('%.0f', now)
local week = 604800000

local function forget(value)
  redis.call('ZREM', queue, value)
  redis.call('HDEL', records, value)
end

-- Gives the lock to the first of those who wait and live, and tells it; for as long as it takes to confirm that. Gives its
-- value, or nil if there is nobody.
local function pass_on()
  while true do
    local value = redis.call('ZRANGE', queue, 0, 0)[1]
    if not value then
      return nil
    end
    local record = redis.call('HGET', records, value) or ''
    forget(value)
    local alive, confirm, fenced, claim, inbox = string.match(record, '^(%d+);(%d+);([01]);(%d+);(.*)$')
    if alive and tonumber(alive) >= now then
      local fence = ''
      if fenced == '1' then
        fence = mint(fences, week)
      end
      local told = 1
      if inbox ~= '' then
        -- Nobody is told if the process has gone: then the next one's turn has come.
        told = redis.call('PUBLISH', inbox, table.concat({key, value, claim, at, fence}, '\n'))
      end
      if told > 0 then
        redis.call('SET', key, value, 'PX', confirm)
        return value
      end
    end
  end
end
