//go:build !linux

package check

import (
	"testing"
	"time"
)

// Stolen measures the time in which threads that are ready to run get no CPU. It needs Linux; elsewhere it measures
// nothing.
type Stolen struct{}

// WatchStolen logs that nothing is measured here.
func WatchStolen(t testing.TB, _ int) *Stolen {
	t.Helper()
	t.Log("what the machine itself takes is not known on this system")
	return &Stolen{}
}

// Between is 0.
func (*Stolen) Between(_, _ time.Time) time.Duration { return 0 }
