package redis

// The SHA-1 digests of the scripts' sources.
const (
	slidingWindowSHA = "886e40b96b4a5df52bad3845775e971998b06bdd"
	adaptiveSHA      = "9e58a9a7936496d2ff1f991b09aea389fad4cbb1"
	tokenBucketSHA   = "c5619b98c7a012fcf6d16fb8ab115383367869c1"
	resetSHA         = "656261f8bb7240dbe37c2eeceb28d92aaf683326"
)
