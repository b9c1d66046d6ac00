package redis

// The SHA-1 digests of the scripts' sources.
const (
	slidingWindowSHA = "872765dec55a9f5b54cea6fe1c8c4a2c59737939"
	adaptiveSHA      = "568df06fbcec20198b49459fba0c485f70cbdf57"
	tokenBucketSHA   = "f1c5c10d9934d9c9823a09b29315e642029f27ee"
	resetSHA         = "b378ceb7989e95784eb97558be6f6ca87c819a03"
)
