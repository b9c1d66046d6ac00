package redis

import (
	_ "embed" // the scripts
)

//go:embed lua/clock.lua
var clockLua string

//go:embed lua/call.lua
var callLua string

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

// Script is a Lua script, and its name for EVALSHA: the SHA-1 of its source in hexadecimal digits.
type Script struct {
	name string
	sha  string
	body string // all but the clock
}

// The digests are constants, so that the filter needs no SHA-1. A test compares them with the sources, and prints new ones.
var (
	slidingWindowScript = Script{"sliding_window", slidingWindowSHA, callLua + fixedLua + windowLua}
	adaptiveScript      = Script{"adaptive", adaptiveSHA, callLua + adaptiveLua + windowLua}
	tokenBucketScript   = Script{"token_bucket", tokenBucketSHA, callLua + bucketLua}
	resetScript         = Script{"reset", resetSHA, resetLua}
)

// Source is the script's text.
func (s *Script) Source() string { return clockLua + s.body }

// SHA is the script's digest.
func (s *Script) SHA() string { return s.sha }
