local own_name,own_record,own_limit=ARGV[20],ARGV[21],ARGV[22]
local minute=60000000
local function configuration(name)
local c={name=name,record=name}
local limit,window=string.match(name,'^a(%d+):(%d+)$')
if window then
c.adaptive,c.record=limit,'w' .. window
else
window=string.match(name,'^w(%d+)$')
end
if window then
c.window=tonumber(window)
c.lead=math.floor(c.window/10)
c.life=c.window+c.lead
return c
end
local capacity,rate,ttl=string.match(name,'^b(%d+):(%d+):(%d+)$')
if not capacity then return nil end
c.capacity,c.rate,c.lead=tonumber(capacity),tonumber(rate),tonumber(ttl)
c.fill=math.ceil(c.capacity/c.rate)*1000
c.life=c.fill+c.lead
return c
end
local function configurations()
local mine,others,last=configuration(own_name),{},nil
if mine.window then mine.life=mine.window+ttl end
local all=redis.call('HGETALL',KEYS[2])
for i=1,#all,2 do
local called,since,limit=string.match(all[i+1],'^(%d+) (%d+) (%d+)$')
local c=configuration(all[i])
if all[i]==own_name then
if called then
last,mine.since=tonumber(called),tonumber(since)
end
elseif not c or not called or now - called>math.max(15*minute,c.life)then
redis.call('HDEL',KEYS[2],all[i])
else
c.called,c.limit=tonumber(called),tonumber(limit)
others[#others+1]=c
end
end
if #others>3 then
table.sort(others,function(a,b)return a.called>b.called end)
while #others>3 do redis.call('HDEL',KEYS[2],table.remove(others).name)end
end
local life=mine.life
for _,c in ipairs(others)do life=math.max(life,c.life)end
if want>0 then
if not last or last>now or now - last>=minute then
if not mine.since or mine.since>now then mine.since=now end
redis.call('HSET',KEYS[2],own_name,string.format('%.0f %.0f %s',now,mine.since,own_limit))
end
redis.call('PEXPIRE',KEYS[2],math.ceil(math.max(16*minute,life+minute)/1000))
end
return mine,others,life,not mine.since or now - mine.since<=mine.life
end
local mine,others,longest_life,joined=configurations()
local longest_lead=mine.lead
for _,c in ipairs(others)do longest_lead=math.max(longest_lead,c.lead)end
local function base(entries)return string.sub(entries,1,-#own_record - 3)end
local function record(start,c)
local name=start .. c.record
return{base=start,c=c,entries=name .. ':e',counts=name .. ':n',state=name .. ':s'}
end
local function records_of_others(start)
local list,known={},{[own_record]=true}
for _,c in ipairs(others)do
if not known[c.record] then
known[c.record]=true
list[#list+1]=record(start,c)
end
end
return list
end
local function chosen()
local own=base(KEYS[3])
if max_keys==0 then return own end
local overflow=base(KEYS[7])
local until_=redis.call('ZSCORE',KEYS[6],key)
if until_ and tonumber(until_)>now then return own,overflow end
redis.call('ZREMRANGEBYSCORE',KEYS[6],'-inf',now)
local latest=now+longest_life
if redis.call('ZCARD',KEYS[6])<max_keys then
if want>0 then redis.call('ZADD',KEYS[6],latest,key)end
return own,overflow
end
for _,other in ipairs(redis.call('ZRANGEBYSCORE',KEYS[6],latest+1,'+inf','LIMIT',0,1000))do
redis.call('ZADD',KEYS[6],latest,other)
end
return overflow
end
local function keep_alive(start)
if max_keys>0 and start==base(KEYS[3])then
local last=redis.call('ZSCORE',KEYS[6],key)
if not last or tonumber(last)<now+longest_life then
redis.call('ZADD',KEYS[6],now+longest_life,key)
end
redis.call('PEXPIRE',KEYS[6],math.ceil(longest_life/1000)+1000)
end
end
