-- Deletes a key while it has the value that the caller knows.
--   KEYS[1]  the key
--   ARGV[1]  the value
-- Returns 1 if the key was deleted, 0 if it does not exist or has another value.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
