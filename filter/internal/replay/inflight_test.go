package replay

import (
	"testing"
	"time"
)

func TestAttemptsInFlightAreBounded(t *testing.T) {
	var f InFlight
	var all []*Attempt
	for i := range maxInFlight {
		a := f.Begin("up", time.Second, uint64(i), 0)
		if a == nil || f.Find(a.ID) != a {
			t.Fatalf("attempt %d: got %v, want it to be found", i, a)
		}
		all = append(all, a)
	}
	if a := f.Begin("up", time.Second, 1, 0); a != nil {
		t.Errorf("one more: got %v, want nil", a)
	}
	f.End(all[0])
	f.End(all[0])
	if a := f.Begin("up", time.Second, 1, 0); a == nil || f.Len() != maxInFlight {
		t.Errorf("after one ended: got %v of %d, want one of %d", a, f.Len(), maxInFlight)
	}
	if a := f.Begin("up", time.Second, 1, int64(12*time.Second)); a == nil || f.Len() != 1 {
		t.Errorf("after all expired: got %v of %d, want the only one", a, f.Len())
	}
	if f.Find("") != nil || f.Find(all[1].ID) != nil {
		t.Error("found an attempt that is over")
	}
}

func TestBytesOfAttemptsAreBounded(t *testing.T) {
	var f InFlight
	a := f.Begin("up", time.Second, 1, 0)
	for _, step := range []struct {
		bytes int
		ok    bool
	}{{MaxResponse - 1, true}, {1, true}, {1, false}} {
		if ok := f.Add(a, step.bytes); ok != step.ok {
			t.Errorf("Add(%d) = %v, want %v", step.bytes, ok, step.ok)
		}
	}
	if a.Reason != ResponseTooLong {
		t.Errorf("got reason %v, want %v", a.Reason, ResponseTooLong)
	}
	for i := 1; i < maxResponseBytes/MaxResponse; i++ {
		if !f.Add(f.Begin("up", time.Second, 1, 0), MaxResponse) {
			t.Fatalf("response %d: got no room", i)
		}
	}
	b := f.Begin("up", time.Second, 1, 0)
	if f.Add(b, 1) || b.Reason != TooManyBytes {
		t.Errorf("one byte more: got reason %v, want %v", b.Reason, TooManyBytes)
	}
	f.End(a)
	if !f.Add(b, MaxResponse) || f.Bytes() != maxResponseBytes {
		t.Errorf("after one ended: got %d bytes, want room up to %d", f.Bytes(), maxResponseBytes)
	}
	if f.Add(a, 1) {
		t.Error("an attempt that is over: got room for its bytes")
	}
}
