-- What every call says. Times are microseconds.
--
-- KEYS  1      live proxies                    zset  proxy -> its last call
--       2 3 4  a record: entries               zset  entry -> from when on it counts
--              counts                          hash  entry -> tokens
--              state                           hash  (adaptive: what was learnt; token_bucket: the level)
--       5      records that live               zset  key -> when its record is as good as fresh     } limits that are
--       6 7 8  the record that overflowing keys share                                               } counted by key
-- ARGV  1 holder  2 number of the call, the lease's id is holder:number  3 proxy
--       4 tokens that requests wait for  5 tokens wanted in all  6 how long a lease is used
--       7 successes  8 failures, both since the last call
--       9 max_keys, 0 where nothing is counted by key  10 the key
--       11 .. 19  the limit's numbers, see the script
--       20 ..     number of leases that are done with, then for each: its number, the time it was granted at (0: not
--                 known, no reply came), number of uses, then for each: microseconds after that time, tokens
-- Reply   number of the call, time of the grant, granted, microseconds until the next token (0: there are more), left, limit,
--         live proxies, success rate in millionths + 1 (0: none)
-- Numbers are handed to Redis as they are. Where they are put together with others they become text by %.0f: Lua 5.1's
-- own tostring has 14 digits, a time has 16.
local holder, number, proxy = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local need, want, ttl = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local max_keys, key = tonumber(ARGV[9]), ARGV[10]
local lease = holder .. ':' .. ARGV[2]
local now = clock()

-- batches calls do with at most 1000 of a list at a time: Lua's stack bounds unpack.
local function batches(list, run)
  for from = 1, #list, 1000 do
    run(unpack(list, from, math.min(from + 999, #list)))
  end
end

-- live counts the proxies that called within a while, this one included. Those that are gone are let go of now and then.
local function live(while_)
  local new = redis.call('ZADD', KEYS[1], now, proxy)
  if new == 1 or number % 16 == 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - while_)
  end
  redis.call('PEXPIRE', KEYS[1], math.ceil(while_ / 1000) + 1000)
  return redis.call('ZCARD', KEYS[1])
end

-- settlements reads what the call says of leases that are done with.
local function settlements()
  local list, at = {}, 21
  for i = 1, tonumber(ARGV[20]) do
    local s = {lease = holder .. ':' .. ARGV[at], at = tonumber(ARGV[at + 1]), used = 0, uses = {}}
    local n = tonumber(ARGV[at + 2])
    at = at + 3
    for u = 1, n do
      local tokens = tonumber(ARGV[at + 1])
      s.uses[u] = {at = s.at + tonumber(ARGV[at]), n = tokens}
      s.used = s.used + tokens
      at = at + 2
    end
    list[i] = s
  end
  return list
end

-- record is what a limit is kept in.
local function record(first)
  return {entries = KEYS[first], counts = KEYS[first + 1], state = KEYS[first + 2]}
end

-- chosen is the record of this call, and the one in which a lease may stand that isn't in it. A key that is not known
-- while max_keys others are gets the record that all such keys share.
local function chosen()
  if max_keys == 0 then return record(2) end
  local lives = redis.call('ZSCORE', KEYS[5], key)
  if lives and tonumber(lives) > now then return record(2), record(6) end
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now)
  if redis.call('ZCARD', KEYS[5]) < max_keys then return record(2), record(6) end
  return record(6)
end

-- lives notes that a record holds something for a while, the same one at each call of a limit.
local function lives(r, while_)
  if max_keys > 0 and r.entries == KEYS[2] then
    local last = redis.call('ZSCORE', KEYS[5], key)
    if not last or tonumber(last) < now + while_ then
      redis.call('ZADD', KEYS[5], now + while_, key)
    end
    redis.call('PEXPIRE', KEYS[5], math.ceil(while_ / 1000) + 1000)
  end
end

-- share is how many of the tokens that are left a call gets. Requests that wait come first. What it wants beyond them is
-- kept to a part of what is left, so that many proxies get some: half, divided by the proxies, or slice if that is more.
local function share(left, proxies, slice)
  local most = math.max(1, math.floor(left / (2 * proxies)), math.floor(slice))
  return math.min(left, math.max(need, math.min(want, most)))
end
