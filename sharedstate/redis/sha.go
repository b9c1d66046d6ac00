package redis

// The SHA-1 digests of the scripts' sources.
const (
	slidingWindowSHA = "23dde2c987c684b9ec13a426e0cb838208c2a4c6"
	adaptiveSHA      = "16ad89d980013bdaa0a040afe401317d939166ae"
	tokenBucketSHA   = "498e7d067ce15448c9fb1be88ac671b807b30267"
	resetSHA         = "656261f8bb7240dbe37c2eeceb28d92aaf683326"
)
