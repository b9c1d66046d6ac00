local highest=tonumber(ARGV[11])*1000
local lowest=math.max(math.ceil(tonumber(ARGV[11])/10),1)*1000
local threshold,backoff,recovery=tonumber(ARGV[13]),tonumber(ARGV[14]),tonumber(ARGV[15])
local interval,samples,forget=tonumber(ARGV[16]),tonumber(ARGV[17]),tonumber(ARGV[18])
longest_life=math.max(longest_life,forget)
local fields={'c','s','o','k','h','r'}
local function state_of(start,c)return start .. c.record .. ':a' .. c.adaptive end
local function adopt(start,l)
for _,c in ipairs(others)do
if c.adaptive then
local got=redis.call('HMGET',state_of(start,c),unpack(fields))
local current=math.floor((got[1] or 0)*(highest/1000)/tonumber(c.adaptive))
if current>0 and current<l.c and now -(got[5] or 0)<forget then
for i,field in ipairs(fields)do l[field]=tonumber(got[i] or 0)end
l.c=current
end
end
end
end
local function load_state(r)
r.state=state_of(r.base,mine)
local got=redis.call('HMGET',r.state,unpack(fields))
local l={}
for i,field in ipairs(fields)do l[field]=tonumber(got[i] or 0)end
if l.c==0 or now - l.h>=forget then
l.c,l.s,l.o,l.k,l.r=highest,0,0,0,0
adopt(r.base,l)
end
l.c=math.min(math.max(l.c,lowest),highest)
l.limit=math.floor(l.c/1000)
if l.r>0 then
l.ratio=l.r
elseif l.o>0 then
l.ratio=math.floor(l.k*1000000/l.o)+1
else
l.ratio=0
end
return l
end
local function store_state(r,l)
l.h=now
local values={}
for _,field in ipairs(fields)do
values[#values+1]=field
values[#values+1]=l[field]
end
redis.call('HSET',r.state,unpack(values))
redis.call('PEXPIRE',r.state,math.ceil(forget/1000)+1000)
end
local function times(amount,factor,round)
return math.floor(amount/1000000)*factor+round((amount%1000000)*factor/1000000)
end
local function learn(start,outcomes,successes)
for _,c in ipairs(others)do
if c.adaptive then
local state=state_of(start,c)
if redis.call('HEXISTS',state,'c')==1 then
redis.call('HINCRBY',state,'o',outcomes)
redis.call('HINCRBY',state,'k',successes)
redis.call('HSET',state,'h',now)
if redis.call('HGET',state,'s')=='0' then redis.call('HSET',state,'s',now)end
end
end
end
end
local function count_outcomes(r,l)
local successes=tonumber(ARGV[7])
local outcomes=successes+tonumber(ARGV[8])
if outcomes==0 then return end
learn(r.base,outcomes,successes)
if l.s==0 or l.s>now then l.s=now end
l.o,l.k=l.o+outcomes,l.k+successes
if l.o>2147483648 then l.o,l.k=math.floor(l.o/2),math.floor(l.k/2)end
if now - l.s>=interval and l.o>=samples then
if l.k*1000000<threshold*l.o then
l.c=times(l.c,backoff,math.floor)
else
l.c=times(l.c,recovery,math.ceil)
end
l.c=math.min(math.max(l.c,lowest),highest)
l.r=math.floor(l.k*1000000/l.o)+1
l.s,l.o,l.k=now,0,0
end
store_state(r,l)
l.limit=math.floor(l.c/1000)
l.ratio=l.r>0 and l.r or math.floor(l.k*1000000/l.o)+1
keep_alive(r.base)
end
