package redis

// The SHA-1 digests of the scripts' sources.
const (
	slidingWindowSHA = "4cf6b5d4f312248ddcb94cf4f6a9a4f11bb4a900"
	adaptiveSHA      = "bd5a549c2d3ead427903e9fb5b90099e27824403"
	tokenBucketSHA   = "8450ddb3e316de5a777953bd7070cc7a33c045a0"
	resetSHA         = "b0a9aba4403bb7223bc31079f6e1685e1b16f723"
)
