-- The arguments and the reply of every call, and what all scripts need. Times are microseconds.
--
-- KEYS  1      live proxies                    zset  proxy -> its last call
--       2      configurations of the limit     hash  see configurations.lua
--       3 4 5  a record: entries               zset  entry -> the time from which it counts
--              counts                          hash  entry -> tokens
--              state                           hash  (adaptive: limit and outcomes; token_bucket: level)
--       6      live records                    zset  key -> when its record equals a fresh one      } limits by key
--       7 8 9  the record that overflowing keys share                                               } only
--       Records of other configurations are in the same slot, since all names have the same hash tag.
-- ARGV  1 holder  2 number of the call, the lease's id is holder:number  3 proxy
--       4 tokens that requests wait for  5 tokens wanted in all  6 lifetime of a lease
--       7 successes  8 failures, both since the last call
--       9 max_keys, 0: not a limit by key  10 the key
--       11 .. 19  the limit's numbers, see the script
--       20 name of the configuration  21 name of its record  22 its limit
--       23 ..     number of settled leases, then for each: its number, the time of its grant (0: not known, no reply
--                 came), number of uses, then for each: microseconds after that time, tokens
-- Reply   number of the call, time of the grant, granted tokens, microseconds until the next token (0: some are left),
--         tokens left, limit, live proxies, success rate in millionths + 1 (0: none), proxies that called lately
-- Numbers are passed to Redis as they are. In composed texts they are formatted by %.0f, since Lua 5.1's own tostring
-- has 14 digits, and a time has 16.
local holder, number, proxy = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local need, want, ttl = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local max_keys, key = tonumber(ARGV[9]), ARGV[10]
local lease = holder .. ':' .. ARGV[2]
local now = clock()

-- The first command that writes is one that needs memory: a Redis without any refuses it, and with it the script. After
-- another one, PEXPIRE or ZREM, it would let all pass.
local new = redis.call('ZADD', KEYS[1], now, proxy)

-- batches calls run with at most 1000 elements of a list at a time, since Lua's stack bounds unpack.
local function batches(list, run)
  for from = 1, #list, 1000 do
    run(unpack(list, from, math.min(from + 999, #list)))
  end
end

-- live counts the proxies that called within a period, this one included. Those that did not within the longest one are
-- removed in 1 of 16 calls. A call that is later than now came before the clock was set back; it counts as one of now.
local function live(period)
  local longest = 600000000
  period = math.min(math.max(period, 10000000), longest)
  if new == 1 or number % 16 == 0 then
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - longest)
    for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], now + 1, '+inf')) do
      redis.call('ZADD', KEYS[1], now, other)
    end
  end
  redis.call('PEXPIRE', KEYS[1], longest / 1000 + 1000)
  return redis.call('ZCOUNT', KEYS[1], now - period + 1, '+inf')
end

-- called_lately is how many proxies called in the last 300 ms, this one included: those that have requests now.
local function called_lately() return redis.call('ZCOUNT', KEYS[1], now - 300000 + 1, '+inf') end

-- settlements reads the leases that the call settles.
local function settlements()
  local list, at = {}, 24
  for i = 1, tonumber(ARGV[23]) do
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

-- share is how many of the tokens that are left a call gets. Waiting requests come first. Beyond them it gets a part of
-- what is left, so that many proxies get some: half, divided by the proxies, or its part of what comes in within 100 ms
-- if that is more. More than 250 proxies call less often (lease/pace.go), so they get their part of a longer time.
local function share(left, proxies, tokens_a_second)
  local slice = tokens_a_second * math.max(0.1, proxies * 0.0004) / proxies
  local most = math.max(1, math.floor(left / (2 * proxies)), math.floor(slice))
  return math.min(left, math.max(need, math.min(want, most)))
end
