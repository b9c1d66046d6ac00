-- sliding_window: the three functions that window.lua calls, for a limit that does not move.
local function load_state() return {limit = tonumber(ARGV[11]), ratio = 0, life = tonumber(ARGV[12]) + ttl} end
local function count_outcomes() end
local function store_state() end
