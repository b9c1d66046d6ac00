package redis

// The SHA-1 digests of the scripts' sources.
const (
	slidingWindowSHA = "a4fc1006df15e8fe162a5b4653c32eaa048f7646"
	adaptiveSHA      = "e6b0b7b8bd590a899e6d4c267db7a6899571ff88"
	tokenBucketSHA   = "9e331366358858f61f020ee5f1cb18f655efc403"
	resetSHA         = "600f4486e2ea6f9a613503078c68c0038af83d6e"
)
