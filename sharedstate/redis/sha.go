package redis

// The SHA-1 digests of the scripts' sources.
const (
	slidingWindowSHA = "1f26d2dd1bdb370ac678e9a9d4268af1767834f9"
	adaptiveSHA      = "24501c998d34727666092ae2784ad8f76615bf22"
	tokenBucketSHA   = "3e875904dbb9abedcc41b9abcd04278e7dd88147"
	resetSHA         = "b0a9aba4403bb7223bc31079f6e1685e1b16f723"
)
