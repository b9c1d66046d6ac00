-- sliding_window: a limit that does not move.
local function learnt() return {limit = tonumber(ARGV[11]), ratio = 0, life = tonumber(ARGV[12]) + ttl} end
local function learn() end
local function heard() end
