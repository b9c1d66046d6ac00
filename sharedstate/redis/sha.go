package redis

// The SHA-1 digests of the scripts' sources.
const (
	slidingWindowSHA = "47ec661a5975b4976355bd38e5429d8ddaa5701b"
	adaptiveSHA      = "c7dbef4fb2d1367eb2ea49577451e8c0c3e8ebe2"
	tokenBucketSHA   = "04c139f5bd12bd473985f0af7597ac65ca3d3e60"
	resetSHA         = "f59d9a55652728463b5c7f766f90f17779aba06d"
)
