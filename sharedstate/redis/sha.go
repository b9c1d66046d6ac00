package redis

const (
	slidingWindowSHA = "a4fc1006df15e8fe162a5b4653c32eaa048f7646"
	adaptiveSHA      = "e6b0b7b8bd590a899e6d4c267db7a6899571ff88"
	tokenBucketSHA   = "9ebb4afe9516b48db75e40b1c1845254e1199531"
	resetSHA         = "600f4486e2ea6f9a613503078c68c0038af83d6e"
)
