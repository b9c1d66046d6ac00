package redis

import (
	_ "embed" // the scripts, as lua/short has them: without comments and white space, 20 KB instead of 33
	"strings"
)

//go:embed lua/short/clock.lua
var clockLua string

//go:embed lua/short/call.lua
var callLua string

//go:embed lua/short/configurations.lua
var configurationsLua string

//go:embed lua/short/window_record.lua
var windowRecordLua string

//go:embed lua/short/bucket_record.lua
var bucketRecordLua string

//go:embed lua/short/others.lua
var othersLua string

//go:embed lua/short/fixed.lua
var fixedLua string

//go:embed lua/short/adaptive.lua
var adaptiveLua string

//go:embed lua/short/window.lua
var windowLua string

//go:embed lua/short/bucket.lua
var bucketLua string

//go:embed lua/short/reset.lua
var resetLua string

// Script is a Lua script, and its name for EVALSHA: the SHA-1 of its source in hexadecimal digits.
type Script struct {
	name string
	sha  string
	// What it is made of, in this order, after the clock. Each VM would build the whole text at its start, 90 KB, also without
	// Redis; Redis is sent it once.
	parts []*string
}

// The digests are constants, so that the filter needs no SHA-1. A test compares them with the sources, and prints new
// ones.
var (
	slidingWindowScript = Script{"sliding_window", slidingWindowSHA, withRecords(&fixedLua, &windowLua)}
	adaptiveScript      = Script{"adaptive", adaptiveSHA, withRecords(&adaptiveLua, &windowLua)}
	tokenBucketScript   = Script{"token_bucket", tokenBucketSHA, withRecords(&bucketLua)}
	resetScript         = Script{"reset", resetSHA, []*string{&resetLua}}
)

// withRecords is the parts of a limit's script, which notes what it grants in the records of all configurations.
func withRecords(parts ...*string) []*string {
	return append([]*string{&callLua, &configurationsLua, &windowRecordLua, &bucketRecordLua, &othersLua}, parts...)
}

// Source is the script's text.
func (s *Script) Source() string { return s.text(clockLua) }

// text is the script with another clock.
func (s *Script) text(clock string) string {
	var b strings.Builder
	b.WriteString(clock)
	for _, part := range s.parts {
		b.WriteString(*part)
	}
	return b.String()
}

// SHA is the script's digest.
func (s *Script) SHA() string { return s.sha }
