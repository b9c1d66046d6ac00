package redis

import (
	_ "embed" // the scripts
)

//go:embed lua/clock.lua
var clockLua string

//go:embed lua/call.lua
var callLua string

//go:embed lua/configurations.lua
var configurationsLua string

//go:embed lua/window_record.lua
var windowRecordLua string

//go:embed lua/bucket_record.lua
var bucketRecordLua string

//go:embed lua/others.lua
var othersLua string

//go:embed lua/fixed.lua
var fixedLua string

//go:embed lua/adaptive.lua
var adaptiveLua string

//go:embed lua/window.lua
var windowLua string

//go:embed lua/bucket.lua
var bucketLua string

//go:embed lua/reset.lua
var resetLua string

// recordsLua is the start of each limit's script: it notes what it grants in the records of all configurations.
var recordsLua = callLua + configurationsLua + windowRecordLua + bucketRecordLua + othersLua

// Script is a Lua script, and its name for EVALSHA: the SHA-1 of its source in hexadecimal digits.
type Script struct {
	name string
	sha  string
	body string // all but the clock
}

// The digests are constants, so that the filter needs no SHA-1. A test compares them with the sources, and prints new
// ones.
var (
	slidingWindowScript = Script{"sliding_window", slidingWindowSHA, recordsLua + fixedLua + windowLua}
	adaptiveScript      = Script{"adaptive", adaptiveSHA, recordsLua + adaptiveLua + windowLua}
	tokenBucketScript   = Script{"token_bucket", tokenBucketSHA, recordsLua + bucketLua}
	resetScript         = Script{"reset", resetSHA, resetLua}
)

// Source is the script's text.
func (s *Script) Source() string { return clockLua + s.body }

// SHA is the script's digest.
func (s *Script) SHA() string { return s.sha }
