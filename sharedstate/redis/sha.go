package redis

// The SHA-1 digests of the scripts' sources.
const (
	slidingWindowSHA = "b640d8b90d135eb50d0bf4480a03a98e4dc39445"
	adaptiveSHA      = "348648416fdf73214d78f2962e7824edf0a386cf"
	tokenBucketSHA   = "ffc7404065a230cf0487fd209d444406578001d7"
	resetSHA         = "656261f8bb7240dbe37c2eeceb28d92aaf683326"
)
