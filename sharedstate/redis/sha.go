package redis

// The SHA-1 digests of the scripts' sources.
const (
	slidingWindowSHA = "de67961b85abacb6c2b16f164af694be5c905878"
	adaptiveSHA      = "0fb32cb40abcf999ea5a49819ad4f8494b1183ea"
	tokenBucketSHA   = "337423106955435ae45fd6ffd12783160f9d7030"
	resetSHA         = "4acd0be8eaa9c98af5e8751230a1033cb88c5401"
)
