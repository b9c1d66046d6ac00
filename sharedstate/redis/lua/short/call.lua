local holder,number,proxy=ARGV[1],tonumber(ARGV[2]),ARGV[3]
local need,want,ttl=tonumber(ARGV[4]),tonumber(ARGV[5]),tonumber(ARGV[6])
local max_keys,key=tonumber(ARGV[9]),ARGV[10]
local lease=holder .. ':' .. ARGV[2]
local now=clock()
local new=redis.call('ZADD',KEYS[1],now,proxy)
local function batches(list,run)
for from=1,#list,1000 do
run(unpack(list,from,math.min(from+999,#list)))
end
end
local function live(period)
local longest=600000000
period=math.min(math.max(period,10000000),longest)
if new==1 or number%16==0 then
redis.call('ZREMRANGEBYSCORE',KEYS[1],'-inf',now - longest)
for _,other in ipairs(redis.call('ZRANGEBYSCORE',KEYS[1],now+1,'+inf'))do
redis.call('ZADD',KEYS[1],now,other)
end
end
redis.call('PEXPIRE',KEYS[1],longest/1000+1000)
return redis.call('ZCOUNT',KEYS[1],now - period+1,'+inf')
end
local function called_lately()return redis.call('ZCOUNT',KEYS[1],now - 300000+1,'+inf')end
local function settlements()
local list,at={},24
for i=1,tonumber(ARGV[23])do
local s={lease=holder .. ':' .. ARGV[at],at=tonumber(ARGV[at+1]),used=0,uses={}}
local n=tonumber(ARGV[at+2])
at=at+3
for u=1,n do
local tokens=tonumber(ARGV[at+1])
s.uses[u]={at=s.at+tonumber(ARGV[at]),n=tokens}
s.used=s.used+tokens
at=at+2
end
list[i]=s
end
return list
end
local function share(left,proxies,tokens_a_second)
local slice=tokens_a_second*math.max(0.1,proxies*0.0004)/proxies
local most=math.max(1,math.floor(left/(2*proxies)),math.floor(slice))
return math.min(left,math.max(need,math.min(want,most)))
end
