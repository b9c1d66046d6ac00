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

// TestAttemptsThatCameTooLate: an attempt that ended before it was seen is told from a request that is none.
func TestAttemptsThatCameTooLate(t *testing.T) {
	var f InFlight
	begin := func(seen bool) string {
		a := f.Begin("up", time.Second, 7, 0)
		a.Seen = seen
		f.End(a)
		return a.ID
	}
	seen, unseen := begin(true), begin(false)
	running := f.Begin("up", time.Second, 7, 0).ID
	for _, tc := range []struct {
		what, id string
		want     bool
	}{
		{"seen before it ended", seen, false},
		{"not seen", unseen, true},
		{"running", running, false},
		{"of nobody", "7-zz", false},
		{"none", "", false},
	} {
		if got := f.HasEnded(tc.id); got != tc.want {
			t.Errorf("%s: HasEnded(%q) = %v, want %v", tc.what, tc.id, got, tc.want)
		}
	}
	for range len(f.unseen) {
		begin(false)
	}
	if f.HasEnded(unseen) {
		t.Errorf("HasEnded(%q) = true after %d others, want false", unseen, len(f.unseen))
	}
}
