local start,forgotten,seen=ARGV[1],0,{}
local names={ARGV[2],ARGV[3]}
local function is(key,kind)return redis.call('TYPE',key).ok==kind end
for i=2,3 do
if is(KEYS[i],'hash')then
for _,name in ipairs(redis.call('HKEYS',KEYS[i]))do
local limit,window=string.match(name,'^a(%d+):(%d+)$')
names[#names+1]=window and 'w' .. window or name
if window then names[#names+1]='w' .. window .. ':a' .. limit end
end
end
end
local function forget(base)
for _,name in ipairs(names)do
forgotten=forgotten+redis.call('UNLINK',base .. name,base .. name .. ':e',base .. name .. ':n',base .. name .. ':s')
end
end
forget(start)
forget(start .. 'o:')
if is(KEYS[4],'zset')then
for _,key in ipairs(redis.call('ZRANGE',KEYS[4],0,-1))do forget(start .. 'k/' .. key .. ':')end
end
if not is(KEYS[1],'zset')then forgotten=forgotten+redis.call('UNLINK',KEYS[1])end
return forgotten+redis.call('UNLINK',KEYS[2],KEYS[3],KEYS[4])
