-- token_bucket: a level, and leases whose unused tokens may be given back.
-- ARGV  11 capacity in nano-tokens  12 refill in micro-tokens a second
--
-- state: l level in nano-tokens, a the time of that level, r tokens given back so far, each time rounded up counts:
-- lease -> "tokens, level after the grant, tokens given back before it, time of the grant"; entries: lease -> when it
-- is forgotten. Fewer tokens are given back than were not used, where the bucket might have overflowed if they had
-- never been granted: see the comment of package redis.
local capacity, rate = tonumber(ARGV[11]), tonumber(ARGV[12])
local nano = 1000000000
local fill = math.ceil(capacity / rate) * 1000
local ahead = math.min(fill, 1000000) -- how far a level's time may be ahead of the clock: it was set back a little
local proxies = live(math.min(math.max(fill, 10000000), 600000000))

-- quotient is a / b rounded up, for a below 2^53.
local function quotient(a, b)
  local q = math.floor(a / b)
  while q * b < a do q = q + 1 end
  while (q - 1) * b >= a do q = q - 1 end
  return q
end

-- inflow is the refill in a time, in nano-tokens: time x rate / 1000, in steps that stay exact.
local function inflow(time)
  local part = rate % 1000
  return time * math.floor(rate / 1000) + math.floor(time / 1000) * part + math.floor(time % 1000 * part / 1000)
end

local function load(r)
  local got = redis.call('HMGET', r.state, 'l', 'a', 'r')
  local level, at, back = tonumber(got[1] or capacity), tonumber(got[2] or now), tonumber(got[3] or 0)
  local b = {level = math.min(level, capacity), at = at, back = back}
  local passed = now - b.at
  if passed > 0 then
    b.level = math.min(b.level + inflow(passed), capacity)
    b.at = now
  elseif passed < -ahead then -- the level is of another clock, and so are the leases
    b.at, b.repaired = now, true
    redis.call('DEL', r.entries, r.counts)
  end
  return b
end

-- settle gives back what was not used, and returns the leases that the record doesn't have.
local function settle(r, b, list)
  if #list == 0 then return list end
  local names, unknown, gone = {}, {}, {}
  for i, s in ipairs(list) do names[i] = s.lease end
  local counts = redis.call('HMGET', r.counts, unpack(names))
  for i, s in ipairs(list) do
    if counts[i] then
      gone[#gone + 1] = s.lease
      local tokens, level, before, at = string.match(counts[i], '^(%d+) (%d+) (%d+) (%d+)$')
      local highest = level + inflow(math.max(b.at - at, 0)) + (b.back - before) * nano
      local back = math.min((tokens - s.used) * nano, capacity - highest)
      if back > 0 then
        b.level = math.min(b.level + back, capacity)
        b.back = b.back + math.ceil(back / nano)
      end
    else
      unknown[#unknown + 1] = s
    end
  end
  if #gone > 0 then
    redis.call('HDEL', r.counts, unpack(gone))
    redis.call('ZREM', r.entries, unpack(gone))
  end
  return unknown
end

-- store keeps the level.
local function store(r, b)
  redis.call('HSET', r.state, 'l', b.level, 'a', b.at, 'r', b.back)
  redis.call('PEXPIRE', r.state, math.ceil(fill / 1000) + 1000)
end

local r, other = chosen(fill + ttl)
batches(redis.call('ZRANGEBYSCORE', r.entries, '-inf', now), function(...)
  redis.call('HDEL', r.counts, ...)
  redis.call('ZREM', r.entries, ...)
end)
local b = load(r)
local before = b.back
local unknown = settle(r, b, settlements())
if other and #unknown > 0 then
  local o = load(other)
  settle(other, o, unknown)
  store(other, o)
end

local granted, at, retry = 0, now, 0
local left = math.floor(b.level / nano)
local known = want > 0 and redis.call('HGET', r.counts, lease)
if known then -- this call arrived before: it was delivered twice
  local tokens, _, _, time = string.match(known, '^(%d+) (%d+) (%d+) (%d+)$')
  granted, at = tonumber(tokens), tonumber(time)
elseif want > 0 and left > 0 then
  granted = share(left, proxies, rate / 10000000 / proxies)
  left = left - granted
  b.level = b.level - granted * nano
  if ttl > 0 then
    local forget = 2 * ttl + 1000000
    redis.call('ZADD', r.entries, now + forget, lease)
    redis.call('HSET', r.counts, lease, string.format('%.0f %.0f %.0f %.0f', granted, b.level, b.back, now))
    redis.call('PEXPIRE', r.entries, math.ceil(forget / 1000) + 1000)
    redis.call('PEXPIRE', r.counts, math.ceil(forget / 1000) + 1000)
  end
  keep_alive(r, fill + ttl)
end
if granted > 0 or b.back ~= before or b.repaired then store(r, b) end
if left == 0 then retry = math.max(quotient((nano - b.level % nano) * 1000, rate) + b.at - now, 1) end
return {number, at, granted, retry, left, math.floor(capacity / nano), proxies, 0}
