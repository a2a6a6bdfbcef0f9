-- Reads a value if nobody with a later fence has been there, and keeps those with an earlier one out from now on.
--   KEYS[1]  a hash with the fields `value` and `fence`
--   ARGV[1]  the reader's fence, in decimal
-- Returns the value, as the only element of a table, or nil in its place if there is none; nil if a later fence was there.
local fence, last = ARGV[1], redis.call('HGET', KEYS[1], 'fence')
-- As text: a number in Lua has 53 bits, and a fence needs more.
if last and (#fence < #last or (#fence == #last and fence < last)) then
  return false
end
redis.call('HSET', KEYS[1], 'fence', fence)
return {redis.call('HGET', KEYS[1], 'value')}
