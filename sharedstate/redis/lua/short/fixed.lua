local function load_state()return{limit=tonumber(ARGV[11]),ratio=0}end
local function count_outcomes()end
local function store_state()end
