-- sliding_window: what window.lua needs, for a limit that does not move.
local life = tonumber(ARGV[12]) + ttl -- of a record
local function load_state() return {limit = tonumber(ARGV[11]), ratio = 0} end
local function count_outcomes() end
local function store_state() end
