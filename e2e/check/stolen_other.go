//go:build !linux

package check

import (
	"testing"
	"time"
)

// Stolen notes the time in which the machine lets nobody run who wants to. It needs Linux; elsewhere it knows of none.
type Stolen struct{}

// WatchStolen says that nothing is noted here.
func WatchStolen(t testing.TB, _ int) *Stolen {
	t.Helper()
	t.Log("what the machine itself takes is not known on this system")
	return &Stolen{}
}

// Between is 0.
func (*Stolen) Between(_, _ time.Time) time.Duration { return 0 }
