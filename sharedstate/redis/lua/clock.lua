-- Redis's clock, in whole microseconds (1.8e15, below 2^53). Scripts use no other clock.
local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
