local function up(time,quantum)return math.ceil(time/quantum)*quantum end
local function expire_window(r)
local over,freed=redis.call('ZRANGEBYSCORE',r.entries,'-inf',now - r.c.window),0
batches(over,function(...)
for _,n in ipairs(redis.call('HMGET',r.counts,...))do freed=freed+(n or 0)end
redis.call('HDEL',r.counts,...)
redis.call('ZREM',r.entries,...)
end)
return freed
end
local function settle_window(r,list,quantum)
local freed,names,gone,unknown=expire_window(r),{'t',lease},{},{}
for i,s in ipairs(list)do names[i+2]=s.lease end
local counts=redis.call('HMGET',r.counts,unpack(names))
local latest=up(now+ttl,quantum)
for i,s in ipairs(list)do
local count=counts[i+2]
if count then
gone[#gone+1]=s.lease
freed=freed+count
for _,use in ipairs(s.uses)do
local at=math.min(up(use.at,quantum),latest)
if at+r.c.window>now then
redis.call('HINCRBY',r.counts,at,use.n)
redis.call('ZADD',r.entries,at,at)
freed=freed - use.n
end
end
else
unknown[#unknown+1]=s
end
end
if #gone>0 then
redis.call('HDEL',r.counts,unpack(gone))
redis.call('ZREM',r.entries,unpack(gone))
end
local total=math.max((counts[1] or 0)- freed,0)
if freed~=0 then redis.call('HSET',r.counts,'t',total)end
return total,unknown,counts[2]
end
local function add_to_window(r,tokens,total)
redis.call('ZADD',r.entries,now+ttl,lease)
redis.call('HSET',r.counts,lease,tokens,'t',total+tokens)
local expiry=math.ceil((r.c.window+r.c.window/10+math.max(ttl,longest_lead))/1000)+1000
redis.call('PEXPIRE',r.entries,expiry)
redis.call('PEXPIRE',r.counts,expiry)
end
