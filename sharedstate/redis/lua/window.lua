-- sliding_window and adaptive.
-- ARGV  11 limit  12 window  19 times of use are rounded up to a multiple of it
--
-- An entry counts until its time + window. A lease's time is grant + ttl until it is settled; then each of its uses is
-- an entry at the time of use, merged with all others of that time, and unused tokens count no more. counts has the
-- tokens of each entry, and in t their sum.
local window, quantum = tonumber(ARGV[12]), tonumber(ARGV[19])
local proxies = live(math.min(math.max(window, 10000000), 600000000))

-- up is a time rounded up to a multiple of quantum.
local function up(time) return math.ceil(time / quantum) * quantum end

-- latest is the time of a lease that is granted now, and of a use of its last token. No entry of this clock is later,
-- but for those of a policy with another ttl, which is at most window / 10.
local latest = up(now + ttl)

-- expire removes entries that count no more, and returns their tokens.
local function expire(r)
  local over, freed = redis.call('ZRANGEBYSCORE', r.entries, '-inf', now - window), 0
  batches(over, function(...)
    for _, n in ipairs(redis.call('HMGET', r.counts, ...)) do freed = freed + (n or 0) end
    redis.call('HDEL', r.counts, ...)
    redis.call('ZREM', r.entries, ...)
  end)
  return freed
end

-- settle replaces leases by their uses. It returns how many tokens count, the leases that the record doesn't have, and
-- the tokens of this call's lease if the record has it.
local function settle(r, list)
  local freed, names, gone, unknown = expire(r), {'t', lease}, {}, {}
  for i, s in ipairs(list) do names[i + 2] = s.lease end
  local counts = redis.call('HMGET', r.counts, unpack(names))
  for i, s in ipairs(list) do
    local count = counts[i + 2]
    if count then
      gone[#gone + 1] = s.lease
      freed = freed + count
      for _, use in ipairs(s.uses) do
        local at = math.min(up(use.at), latest) -- a grant later than now was before the clock was set back
        if at + window > now then
          redis.call('HINCRBY', r.counts, at, use.n)
          redis.call('ZADD', r.entries, at, at)
          freed = freed - use.n
        end
      end
    else
      unknown[#unknown + 1] = s
    end
  end
  if #gone > 0 then
    redis.call('HDEL', r.counts, unpack(gone))
    redis.call('ZREM', r.entries, unpack(gone))
  end
  local total = math.max((counts[1] or 0) - freed, 0)
  if freed ~= 0 then redis.call('HSET', r.counts, 't', total) end
  return total, unknown, counts[2]
end

-- next_token is the time until a token is free. As an adaptive limit may be below the tokens that count, several
-- entries may have to expire before. Nil where there are counts without entries: Redis evicted a part of the record.
local function next_token(r, total, limit)
  local first = redis.call('ZRANGE', r.entries, 0, total == limit and 0 or 15, 'WITHSCORES')
  for i = 1, #first, 2 do
    if i < #first - 1 then total = total - (redis.call('HGET', r.counts, first[i]) or 0) end
    if total < limit or i == #first - 1 then return math.max(first[i + 1] + window - now, 1) end
  end
end

-- repair gives entries that can't be of this clock, since it was set back, the latest time that is of it: they count
-- for a window and a ttl, so that the limit is neither opened by that nor locked for longer.
local function repair(r)
  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', r.entries, up(now + window / 10) + 1, '+inf')) do
    redis.call('ZADD', r.entries, latest, entry)
  end
end

local r, other = chosen(life)
local l = load_state(r)
count_outcomes(r, l)
local total, unknown, known = settle(r, settlements())
if other and #unknown > 0 then settle(other, unknown) end

local granted, at, retry = 0, now, 0
if total >= l.limit then
  repair(r)
  retry = next_token(r, total, l.limit)
  if not retry then
    redis.call('DEL', r.counts)
    total, known = 0, false
  end
end
local left = math.max(l.limit - total, 0)
if want > 0 and known then -- this call arrived before: it was delivered twice, and gets the same lease
  granted, at = tonumber(known), redis.call('ZSCORE', r.entries, lease) - ttl
elseif want > 0 and left > 0 then
  granted = share(left, proxies, l.limit * 100000 / window / proxies)
  left, total = left - granted, total + granted
  redis.call('ZADD', r.entries, now + ttl, lease)
  redis.call('HSET', r.counts, lease, granted, 't', total)
  local expiry = math.ceil((window + window / 10 + ttl) / 1000) + 1000
  redis.call('PEXPIRE', r.entries, expiry)
  redis.call('PEXPIRE', r.counts, expiry)
  store_state(r, l)
  keep_alive(r, life)
  if left == 0 then
    repair(r)
    retry = next_token(r, total, l.limit)
  end
end
if left > 0 then retry = 0 end
return {number, at, granted, retry, left, l.limit, proxies, l.ratio}
