local nano=1000000000
local grant='^(%d+) (-?%d+) (%d+) (%d+)$'
local function inflow(c,time)
local part=c.rate%1000
return time*math.floor(c.rate/1000)+math.floor(time/1000)*part+math.floor(time%1000*part/1000)
end
local function bound_debt(r,b)
if b.level>=0 then return end
local out=0
for _,text in ipairs(redis.call('HVALS',r.counts))do out=out+(string.match(text,grant)or 0)end
local lowest=-out*nano
if b.level<lowest then
b.back=b.back+math.ceil((lowest - b.level)/nano)
b.level=lowest
end
end
local function load_bucket(r)
local c=r.c
batches(redis.call('ZRANGEBYSCORE',r.entries,'-inf',now),function(...)
redis.call('HDEL',r.counts,...)
redis.call('ZREM',r.entries,...)
end)
local got=redis.call('HMGET',r.state,'l','a','r')
local level,at,back=tonumber(got[1] or c.capacity),tonumber(got[2] or now),tonumber(got[3] or 0)
local b={level=math.min(level,c.capacity),at=at,back=back,before=back,stored=at}
local ahead=math.min(c.fill,1000000)
local passed=now - b.at
bound_debt(r,b)
if passed>0 then
b.level=math.min(b.level+inflow(c,passed),c.capacity)
b.at=now
elseif passed<-ahead then
b.at,b.repaired=now,true
redis.call('DEL',r.entries,r.counts)
bound_debt(r,b)
end
return b
end
local function settle_bucket(r,b,list)
if #list==0 then return list end
local names,unknown,gone={},{},{}
for i,s in ipairs(list)do names[i]=s.lease end
local counts=redis.call('HMGET',r.counts,unpack(names))
for i,s in ipairs(list)do
if counts[i] then
gone[#gone+1]=s.lease
local tokens,level,before,at=string.match(counts[i],grant)
local highest=level+inflow(r.c,math.max(b.at - at,0))+(b.back - before)*nano
local back=math.min((tokens - s.used)*nano,r.c.capacity - highest)
if back>0 then
b.level=math.min(b.level+back,r.c.capacity)
b.back=b.back+math.ceil(back/nano)
end
else
unknown[#unknown+1]=s
end
end
if #gone>0 then
redis.call('HDEL',r.counts,unpack(gone))
redis.call('ZREM',r.entries,unpack(gone))
bound_debt(r,b)
end
return unknown
end
local function add_to_bucket(r,b,tokens)
b.level=b.level - tokens*nano
b.taken=true
if ttl>0 then
local forget=2*ttl+1000000
redis.call('ZADD',r.entries,now+forget,lease)
redis.call('HSET',r.counts,lease,string.format('%.0f %.0f %.0f %.0f',tokens,b.level,b.back,now))
local expiry=math.ceil((2*math.max(ttl,longest_lead)+1000000)/1000)+1000
redis.call('PEXPIRE',r.entries,expiry)
redis.call('PEXPIRE',r.counts,expiry)
end
bound_debt(r,b)
end
local function store_bucket(r,b)
if not b.taken and b.back==b.before and not b.repaired then return end
redis.call('HSET',r.state,'l',b.level,'a',b.at,'r',b.back)
redis.call('PEXPIRE',r.state,math.ceil(r.c.fill/1000)+1000)
end
