-- Asks for nothing: whoever may run this may run scripts.
--   No KEYS, no ARGV. Returns 1.
return 1
