-- Forgets a cluster's limit: its record, and those of its keys. Keys that are not declared are in the same slot, since they
-- have the same hash tag.
-- KEYS  1 live proxies  2 3 4 the record  [5 live records  6 7 8 the record for overflowing keys]
-- ARGV  1 the start of the names of keys' records
-- Reply number of Redis keys that were deleted
local forgotten = redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
if KEYS[5] then
  for _, key in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1)) do
    local name = ARGV[1] .. key
    forgotten = forgotten + redis.call('DEL', name .. ':e', name .. ':n', name .. ':s')
  end
  forgotten = forgotten + redis.call('DEL', KEYS[5], KEYS[6], KEYS[7], KEYS[8])
end
return forgotten
