local capacity,rate=tonumber(ARGV[11]),tonumber(ARGV[12])
local proxies=live(mine.fill)
local function quotient(a,b)
local q=math.ceil(a/b)
if a>9007199254740991 then return q end
while q*b<a do q=q+1 end
while(q - 1)*b>=a do q=q - 1 end
return q
end
local start,overflow=chosen()
local r=record(start,mine)
local noted=records_of_others(start)
if want>0 and joined and #noted>0 and redis.call('HEXISTS',r.state,'l')==0 then join_bucket(r)end
local b=load_bucket(r)
local list=settlements()
local unknown=settle_bucket(r,b,list)
local before_key={}
if overflow and #unknown>0 then
local o=record(overflow,mine)
local level=load_bucket(o)
settle_bucket(o,level,unknown)
store_bucket(o,level)
before_key=records_of_others(overflow)
end
local granted,at,retry=0,now,0
local left=math.max(math.floor(b.level/nano),0)
local known=want>0 and redis.call('HGET',r.counts,lease)
local new=0
if known then
local tokens,_,_,time=string.match(known,grant)
granted,at=tonumber(tokens),tonumber(time)
elseif want>0 and left>0 then
granted=share(left,proxies,rate/1000000)
left,new=left - granted,granted
add_to_bucket(r,b,granted)
keep_alive(start)
end
store_bucket(r,b)
note(noted,before_key,list,new)
if left==0 then
local lacking=b.level<0 and nano - b.level or nano - b.level%nano
retry=math.max(quotient(lacking*1000,rate)+b.at - now,1)
end
return{number,at,granted,retry,left,math.floor(capacity/nano),proxies,0,called_lately()}
