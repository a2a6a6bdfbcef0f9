-- Mints a fence: the ID of a new entry of a stream, above all earlier ones. It carries the server's time to the microsecond,
-- so that it is also above those of a stream that was lost, or of an older copy of it. Stands in front of the scripts that
-- mint, and is none by itself.
-- Returns the ID.
local function mint(fences, keep)
  local time = redis.call('TIME')
  local ms, seq = time[1] * 1000 + math.floor(time[2] / 1000), time[2] % 1000 * 1000
  local last = redis.call('XREVRANGE', fences, '+', '-', 'COUNT', 1)[1]
  if last then
    local last_ms, last_seq = string.match(last[1], '^(%d+)-(%d+)$')
    last_ms, last_seq = tonumber(last_ms), tonumber(last_seq)
    if last_ms > ms or (last_ms == ms and last_seq >= seq) then
      ms, seq = last_ms, last_seq + 1
      if seq > 1048575 then
        ms, seq = last_ms + 1, 0
      end
    end
  end
  local id = string.format('%.0f-%.0f', ms, seq)
  redis.call('XADD', fences, 'MAXLEN', 1, id, 'f', '')
  redis.call('PEXPIRE', fences, keep)
  return id
end
