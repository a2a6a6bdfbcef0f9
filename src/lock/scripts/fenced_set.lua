-- Writes a value if nobody with a later fence has written before.
--   KEYS[1]  a hash with the fields `value` and `fence`
--   ARGV[1]  the writer's fence, in decimal
--   ARGV[2]  the value
-- Returns 1 if the value was written, 0 if a later fence was there.
local fence, last = ARGV[1], redis.call('HGET', KEYS[1], 'fence')
-- As text: a number in Lua has 53 bits, and a fence needs more.
if last and (#fence < #last or (#fence == #last and fence < last)) then
  return 0
end
redis.call('HSET', KEYS[1], 'fence', fence, 'value', ARGV[2])
return 1
