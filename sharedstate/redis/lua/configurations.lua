-- A count may have several configurations: proxies hold different numbers for it during a rollout, or two listeners do.
-- Each has a record of its own, and what one grants is noted in all, so each record is what it would be if its own limit
-- had granted everything. Limits of one window share a record, each compares its own number with what counts there.
-- KEYS[2]: name -> "time of its last call (to the minute), of its first one, its limit". The names:
--   wWINDOW                     sliding_window; its record has the same name
--   aLIMIT:WINDOW               adaptive; its record is wWINDOW, its limit and outcomes are in wWINDOW:aLIMIT
--   bCAPACITY:REFILL:TTL        token_bucket; its record has the same name
-- One that made no call for a quarter of an hour, and for as long as its record lives, is dropped. There are at most four.
local own_name, own_record, own_limit = ARGV[20], ARGV[21], ARGV[22]
local minute = 60000000

-- configuration reads a name. lead is the longest lifetime of its leases, life how long a record differs from a fresh one.
local function configuration(name)
  local c = {name = name, record = name}
  local limit, window = string.match(name, '^a(%d+):(%d+)$')
  if window then
    c.adaptive, c.record = limit, 'w' .. window
  else
    window = string.match(name, '^w(%d+)$')
  end
  if window then
    c.window = tonumber(window)
    c.lead = math.floor(c.window / 10)
    c.life = c.window + c.lead
    return c
  end
  local capacity, rate, ttl = string.match(name, '^b(%d+):(%d+):(%d+)$')
  if not capacity then return nil end
  c.capacity, c.rate, c.lead = tonumber(capacity), tonumber(rate), tonumber(ttl)
  c.fill = math.ceil(c.capacity / c.rate) * 1000
  c.life = c.fill + c.lead
  return c
end

-- configurations is the own one and the list of the others, and for how long a record of any of them differs from a
-- fresh one. joined says that the own one is new, so that its records may not have what others granted before.
local function configurations()
  local mine, others, last = configuration(own_name), {}, nil
  if mine.window then mine.life = mine.window + ttl end
  local all = redis.call('HGETALL', KEYS[2])
  for i = 1, #all, 2 do
    local called, since, limit = string.match(all[i + 1], '^(%d+) (%d+) (%d+)$')
    local c = configuration(all[i])
    if all[i] == own_name then
      if called then
        last, mine.since = tonumber(called), tonumber(since)
      end
    elseif not c or not called or now - called > math.max(15 * minute, c.life) then
      redis.call('HDEL', KEYS[2], all[i])
    else
      c.called, c.limit = tonumber(called), tonumber(limit)
      others[#others + 1] = c
    end
  end
  if #others > 3 then
    table.sort(others, function(a, b) return a.called > b.called end)
    while #others > 3 do redis.call('HDEL', KEYS[2], table.remove(others).name) end
  end
  local life = mine.life
  for _, c in ipairs(others) do life = math.max(life, c.life) end
  if want > 0 then
    if not last or last > now or now - last >= minute then
      if not mine.since or mine.since > now then mine.since = now end
      redis.call('HSET', KEYS[2], own_name, string.format('%.0f %.0f %s', now, mine.since, own_limit))
    end
    redis.call('PEXPIRE', KEYS[2], math.ceil(math.max(16 * minute, life + minute) / 1000))
  end
  return mine, others, life, not mine.since or now - mine.since <= mine.life
end
local mine, others, longest_life, joined = configurations()

-- longest_lead is the longest lifetime of any lease.
local longest_lead = mine.lead
for _, c in ipairs(others) do longest_lead = math.max(longest_lead, c.lead) end

-- base is the start of the names of a key's records, or of the cluster's: what is before the own record's name.
local function base(entries) return string.sub(entries, 1, -#own_record - 3) end

-- record is the keys of a configuration's record.
local function record(start, c)
  local name = start .. c.record
  return {base = start, c = c, entries = name .. ':e', counts = name .. ':n', state = name .. ':s'}
end

-- records_of_others are their records, each once.
local function records_of_others(start)
  local list, known = {}, {[own_record] = true}
  for _, c in ipairs(others) do
    if not known[c.record] then
      known[c.record] = true
      list[#list + 1] = record(start, c)
    end
  end
  return list
end

-- chosen is the start of the names of this call's records, and of those that may have a lease that isn't in them. A key
-- without a live record uses the record for overflowing keys while max_keys others have one. Where these are live for
-- longer than possible, the clock was set back, and they become live for that long: 1,000 of them a call, so that no call
-- takes long.
local function chosen()
  local own = base(KEYS[3])
  if max_keys == 0 then return own end
  local overflow = base(KEYS[7])
  local until_ = redis.call('ZSCORE', KEYS[6], key)
  if until_ and tonumber(until_) > now then return own, overflow end
  redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', now)
  local latest = now + longest_life
  if redis.call('ZCARD', KEYS[6]) < max_keys then
    -- Before the record is read: if another type of key makes that fail, a reset finds it.
    if want > 0 then redis.call('ZADD', KEYS[6], latest, key) end
    return own, overflow
  end
  for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[6], latest + 1, '+inf', 'LIMIT', 0, 1000)) do
    redis.call('ZADD', KEYS[6], latest, other)
  end
  return overflow
end

-- keep_alive makes a key's records live ones.
local function keep_alive(start)
  if max_keys > 0 and start == base(KEYS[3]) then
    local last = redis.call('ZSCORE', KEYS[6], key)
    if not last or tonumber(last) < now + longest_life then
      redis.call('ZADD', KEYS[6], now + longest_life, key)
    end
    redis.call('PEXPIRE', KEYS[6], math.ceil(longest_life / 1000) + 1000)
  end
end
