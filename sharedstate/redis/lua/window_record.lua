-- The record of a window.
-- An entry counts until its time + window. A lease's time is grant + ttl until it is settled; then each of its uses is
-- an entry at the time of use, merged with all others of that time, and unused tokens count no more. counts has the
-- tokens of each entry, and in t their sum. Times of use are rounded up to a multiple of quantum.
local function up(time, quantum) return math.ceil(time / quantum) * quantum end

-- expire_window removes entries that count no more, and returns their tokens.
local function expire_window(r)
  local over, freed = redis.call('ZRANGEBYSCORE', r.entries, '-inf', now - r.c.window), 0
  batches(over, function(...)
    for _, n in ipairs(redis.call('HMGET', r.counts, ...)) do freed = freed + (n or 0) end
    redis.call('HDEL', r.counts, ...)
    redis.call('ZREM', r.entries, ...)
  end)
  return freed
end

-- settle_window replaces leases by their uses. It returns how many tokens count, the leases that the record doesn't
-- have, and the tokens of this call's lease if the record has it.
local function settle_window(r, list, quantum)
  local freed, names, gone, unknown = expire_window(r), {'t', lease}, {}, {}
  for i, s in ipairs(list) do names[i + 2] = s.lease end
  local counts = redis.call('HMGET', r.counts, unpack(names))
  local latest = up(now + ttl, quantum) -- of a use of a token that is granted now
  for i, s in ipairs(list) do
    local count = counts[i + 2]
    if count then
      gone[#gone + 1] = s.lease
      freed = freed + count
      for _, use in ipairs(s.uses) do
        local at = math.min(up(use.at, quantum), latest) -- a grant later than now was before the clock was set back
        if at + r.c.window > now then
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

-- add_to_window adds a lease to what counts.
local function add_to_window(r, tokens, total)
  redis.call('ZADD', r.entries, now + ttl, lease)
  redis.call('HSET', r.counts, lease, tokens, 't', total + tokens)
  local expiry = math.ceil((r.c.window + r.c.window / 10 + math.max(ttl, longest_lead)) / 1000) + 1000
  redis.call('PEXPIRE', r.entries, expiry)
  redis.call('PEXPIRE', r.counts, expiry)
end
