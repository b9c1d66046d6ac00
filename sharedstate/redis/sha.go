package redis

// The SHA-1 digests of the scripts' sources.
const (
	slidingWindowSHA = "d3cdbcecadc7bb0044cae20afe7af408b5f6a622"
	adaptiveSHA      = "0e22fdb82ae192450e69d98b2797a71b71da6e7b"
	tokenBucketSHA   = "2902d693868e4343125b74bddfffc172133d27d6"
	resetSHA         = "656261f8bb7240dbe37c2eeceb28d92aaf683326"
)
