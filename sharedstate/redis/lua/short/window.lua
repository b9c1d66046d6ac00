local window,quantum=tonumber(ARGV[12]),tonumber(ARGV[19])
local proxies=live(window)
local function next_token(r,total,limit)
local first=redis.call('ZRANGE',r.entries,0,total==limit and 0 or 15,'WITHSCORES')
for i=1,#first,2 do
if i<#first - 1 then total=total -(redis.call('HGET',r.counts,first[i])or 0)end
if total<limit or i==#first - 1 then return math.max(first[i+1]+window - now,1)end
end
end
local function repair(r)
local lead=ttl
for _,c in ipairs(others)do lead=math.max(lead,c.lead)end
local possible,latest=math.max(lead,mine.lead),up(now+lead,quantum)
for _,entry in ipairs(redis.call('ZRANGEBYSCORE',r.entries,up(now+possible,quantum)+1,'+inf'))do
redis.call('ZADD',r.entries,latest,entry)
end
end
local start,overflow=chosen()
local r=record(start,mine)
local noted=records_of_others(start)
local l=load_state(r)
count_outcomes(r,l)
if want>0 and joined and #noted>0 and redis.call('HEXISTS',r.counts,'t')==0 then join_window(r,l.limit)end
local list=settlements()
local total,unknown,known=settle_window(r,list,quantum)
local before_key={}
if overflow and #unknown>0 then
settle_window(record(overflow,mine),unknown,quantum)
before_key=records_of_others(overflow)
end
local granted,at,retry=0,now,0
if total>=l.limit then
repair(r)
retry=next_token(r,total,l.limit)
if not retry then
redis.call('DEL',r.counts)
total,known=0,false
end
end
local left=math.max(l.limit - total,0)
local new=0
if want>0 and known then
granted,at=tonumber(known),redis.call('ZSCORE',r.entries,lease)- ttl
elseif want>0 and left>0 then
granted=share(left,proxies,l.limit*1000000/window)
add_to_window(r,granted,total)
left,total,new=left - granted,total+granted,granted
store_state(r,l)
keep_alive(start)
if left==0 then
repair(r)
retry=next_token(r,total,l.limit)
end
end
note(noted,before_key,list,new)
if left>0 then retry=0 end
return{number,at,granted,retry,left,l.limit,proxies,l.ratio,called_lately()}
