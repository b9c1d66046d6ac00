package process

import (
	"os"
	"testing"
	"time"
)

// A loop that takes a while on the wall takes at least most of it on the CPU.
func TestCPUTime(t *testing.T) {
	before, err := CPUTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		after, err := CPUTime(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if after-before > 20*time.Millisecond {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %s for 10 s of work, want 20 ms or more", after-before)
		}
	}
}
