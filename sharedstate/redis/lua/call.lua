-- The arguments and the reply of every call, and what all scripts need. Times are microseconds.
--
-- KEYS  1      live proxies                    zset  proxy -> its last call
--       2 3 4  a record: entries               zset  entry -> the time from which it counts
--              counts                          hash  entry -> tokens
--              state                           hash  (adaptive: limit and outcomes; token_bucket: level)
--       5      live records                    zset  key -> when its record equals a fresh one      } limits by key
--       6 7 8  the record that overflowing keys share                                               } only
-- ARGV  1 holder  2 number of the call, the lease's id is holder:number  3 proxy
--       4 tokens that requests wait for  5 tokens wanted in all  6 lifetime of a lease
--       7 successes  8 failures, both since the last call
--       9 max_keys, 0: not a limit by key  10 the key
--       11 .. 19  the limit's numbers, see the script
--       20 ..     number of settled leases, then for each: its number, the time of its grant (0: not known, no reply
--                 came), number of uses, then for each: microseconds after that time, tokens
-- Reply   number of the call, time of the grant, granted tokens, microseconds until the next token (0: some are left),
--         tokens left, limit, live proxies, success rate in millionths + 1 (0: none)
-- Numbers are passed to Redis as they are. In composed texts they are formatted by %.0f, since Lua 5.1's own tostring
-- has 14 digits, and a time has 16.
local holder, number, proxy = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local need, want, ttl = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local max_keys, key = tonumber(ARGV[9]), ARGV[10]
local lease = holder .. ':' .. ARGV[2]
local now = clock()

-- batches calls run with at most 1000 elements of a list at a time, since Lua's stack bounds unpack.
local function batches(list, run)
  for from = 1, #list, 1000 do
    run(unpack(list, from, math.min(from + 999, #list)))
  end
end

-- live counts the proxies that called within a period, this one included. Others are removed in 1 of 16 calls. A call
-- that is later than now came before the clock was set back; it counts as one of now.
local function live(period)
  local new = redis.call('ZADD', KEYS[1], now, proxy)
  if new == 1 or number % 16 == 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - period)
    for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now + 1, '+inf')) do
      redis.call('ZADD', KEYS[1], now, other)
    end
  end
  redis.call('PEXPIRE', KEYS[1], math.ceil(period / 1000) + 1000)
  return redis.call('ZCARD', KEYS[1])
end

-- settlements reads the leases that the call settles.
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

-- record is the keys of a limit's record.
local function record(first)
  return {entries = KEYS[first], counts = KEYS[first + 1], state = KEYS[first + 2]}
end

-- chosen is the record of this call, and the one that may have a lease that isn't in it. A key without a live record
-- uses the record for overflowing keys while max_keys others have one. Where these are live for longer than a period,
-- the clock was set back, and they become live for a period: 1,000 of them a call, so that no call takes long.
local function chosen(period)
  if max_keys == 0 then return record(2) end
  local until_ = redis.call('ZSCORE', KEYS[5], key)
  if until_ and tonumber(until_) > now then return record(2), record(6) end
  redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now)
  if redis.call('ZCARD', KEYS[5]) < max_keys then
    -- Before the record is read: if another type of key makes that fail, a reset finds it.
    if want > 0 then redis.call('ZADD', KEYS[5], now + period, key) end
    return record(2), record(6)
  end
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], now + period + 1, '+inf', 'LIMIT', 0, 1000)) do
    redis.call('ZADD', KEYS[5], now + period, other)
  end
  return record(6)
end

-- keep_alive makes a key's record a live one for a period, which is the same at each call of a limit.
local function keep_alive(r, period)
  if max_keys > 0 and r.entries == KEYS[2] then
    local last = redis.call('ZSCORE', KEYS[5], key)
    if not last or tonumber(last) < now + period then
      redis.call('ZADD', KEYS[5], now + period, key)
    end
    redis.call('PEXPIRE', KEYS[5], math.ceil(period / 1000) + 1000)
  end
end

-- share is how many of the tokens that are left a call gets. Waiting requests come first. Beyond them it gets a part of
-- what is left, so that many proxies get some: half, divided by the proxies, or slice if that is more.
local function share(left, proxies, slice)
  local most = math.max(1, math.floor(left / (2 * proxies)), math.floor(slice))
  return math.min(left, math.max(need, math.min(want, most)))
end
