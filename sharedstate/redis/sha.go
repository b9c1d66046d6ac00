package redis

// The SHA-1 digests of the scripts' sources.
const (
	slidingWindowSHA = "4cf6b5d4f312248ddcb94cf4f6a9a4f11bb4a900"
	adaptiveSHA      = "bd5a549c2d3ead427903e9fb5b90099e27824403"
	tokenBucketSHA   = "e4acf5f3192fb36dd7ffdfa1487410a2174ad071"
	resetSHA         = "f59d9a55652728463b5c7f766f90f17779aba06d"
)
