-- Forgets a cluster's limit: its record, and those of its keys, of whatever type they are. Keys that are not declared
-- are in the same slot, since they have the same hash tag. The live proxies stay, unless they are of another type.
-- KEYS  1 live proxies  2 3 4 the record  [5 live records  6 7 8 the record for overflowing keys]
-- ARGV  1 the start of the names of keys' records
-- Reply number of Redis keys that were deleted
local function is_zset(key) return redis.call('TYPE', key).ok == 'zset' end

-- UNLINK, since a key of another type may be huge.
local forgotten = redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
if not is_zset(KEYS[1]) then forgotten = forgotten + redis.call('UNLINK', KEYS[1]) end
if KEYS[5] then
  if is_zset(KEYS[5]) then
    for _, key in ipairs(redis.call('ZRANGE', KEYS[5], 0, -1)) do
      local name = ARGV[1] .. key
      forgotten = forgotten + redis.call('UNLINK', name .. ':e', name .. ':n', name .. ':s')
    end
  end
  forgotten = forgotten + redis.call('UNLINK', KEYS[5], KEYS[6], KEYS[7], KEYS[8])
end
return forgotten
