local function quantum_of(c)return math.max(math.ceil(c.window/512),1)end
local function note(records,unknown_to,list,granted)
for _,r in ipairs(records)do
if r.c.window then
local total=settle_window(r,list,quantum_of(r.c))
if granted>0 then add_to_window(r,granted,total)end
else
local b=load_bucket(r)
settle_bucket(r,b,list)
if granted>0 then add_to_bucket(r,b,granted)end
store_bucket(r,b)
end
end
for _,r in ipairs(unknown_to)do
if r.c.window then
settle_window(r,list,quantum_of(r.c))
else
local b=load_bucket(r)
settle_bucket(r,b,list)
store_bucket(r,b)
end
end
end
local function total_of(r)
local freed=expire_window(r)
local total=math.max((redis.call('HGET',r.counts,'t')or 0)- freed,0)
if freed~=0 then redis.call('HSET',r.counts,'t',total)end
return total
end
local function join_window(r,limit)
local best,most=nil,0
for _,o in ipairs(records_of_others(r.base))do
local uses,sum={},0
local function add(entry,at,n)
uses[#uses+1]={entry,at,n}
sum=sum+n
end
if o.c.window then
local total=total_of(o)
local found=redis.call('ZRANGEBYSCORE',o.entries,string.format('(%.0f',now - r.c.window),'+inf','WITHSCORES')
for i=1,#found,2 do
add(found[i],found[i+1],tonumber(redis.call('HGET',o.counts,found[i])or 0))
end
local shared=math.ceil(limit*math.min(total/o.c.limit,1))
if r.c.window>o.c.window and shared>sum then
add(string.format('%.0f',now - o.c.window),now - o.c.window,shared - sum)
end
else
local b=load_bucket(o)
local used=o.c.capacity - b.level
if used>0 then
local n=math.min(math.max(math.ceil(used/nano),math.ceil(limit*used/o.c.capacity)),limit)
local at=math.min(b.stored,now)+o.c.lead
add(string.format('%.0f',at),at,n)
end
end
if sum>most then best,most=uses,sum end
end
if not best then return end
for _,u in ipairs(best)do
redis.call('ZADD',r.entries,u[2],u[1])
redis.call('HSET',r.counts,u[1],u[3])
end
redis.call('HSET',r.counts,'t',most)
local expiry=math.ceil((r.c.window+r.c.window/10+longest_lead)/1000)+1000
redis.call('PEXPIRE',r.entries,expiry)
redis.call('PEXPIRE',r.counts,expiry)
end
local function join_bucket(r)
local missing=0
for _,o in ipairs(records_of_others(r.base))do
if o.c.window then
local total=total_of(o)
missing=math.max(missing,total*nano,math.ceil(r.c.capacity*math.min(total/o.c.limit,1)))
else
missing=math.max(missing,o.c.capacity - load_bucket(o).level)
end
end
if missing==0 then return end
redis.call('HSET',r.state,'l',math.max(r.c.capacity - missing,0),'a',now,'r',0)
redis.call('PEXPIRE',r.state,math.ceil(r.c.fill/1000)+1000)
end
