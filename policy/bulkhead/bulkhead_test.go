package bulkhead

import (
	"math"
	"testing"
	"time"
)

const (
	ms     = int64(time.Millisecond)
	second = int64(time.Second)
)

var three = Config{Max: 3, Expiry: 5 * time.Second}

func TestMoments(t *testing.T) {
	type what int
	const (
		acquire what = iota
		release
		heartbeat
		look // only at the number of running requests
	)
	type moment struct {
		at      int64 // milliseconds
		owner   uint32
		do      what
		count   uint32 // heartbeat
		verdict Verdict
		same    bool // release, heartbeat: nothing changed
		running uint32
	}
	fill := []moment{ // owner 1 has two running requests and owner 2 one, at 100 s
		{at: 100_000, owner: 1, do: acquire, running: 1},
		{at: 100_000, owner: 2, do: acquire, running: 2},
		{at: 100_000, owner: 1, do: acquire, running: 3},
	}
	for _, tc := range []struct {
		name    string
		moments []moment
	}{
		{"full over all owners, until one releases", append(fill[:3:3],
			moment{at: 100_001, owner: 1, do: acquire, verdict: Full, running: 3},
			moment{at: 100_001, owner: 3, do: acquire, verdict: Full, running: 3},
			moment{at: 100_002, owner: 1, do: release, running: 2},
			moment{at: 100_003, owner: 3, do: acquire, running: 3},
		)},
		{"never below zero", append(fill[:3:3],
			moment{at: 100_001, owner: 2, do: release, running: 2},
			moment{at: 100_001, owner: 2, do: release, same: true, running: 2},
			moment{at: 100_001, owner: 9, do: release, same: true, running: 2},
			moment{at: 100_001, owner: 9, do: heartbeat, count: 0, same: true, running: 2},
		)},
		{"a crashed owner's share is free after Expiry", append(fill[:3:3],
			moment{at: 105_000, owner: 2, do: heartbeat, count: 1, running: 3},
			moment{at: 105_000, owner: 2, do: acquire, verdict: Full, running: 3},
			moment{at: 105_001, do: look, running: 1},
			moment{at: 105_001, owner: 2, do: acquire, running: 2},
			moment{at: 105_001, owner: 2, do: acquire, running: 3},
			moment{at: 105_001, owner: 2, do: acquire, verdict: Full, running: 3},
		)},
		{"a stalled owner's heartbeat restores its count, and nothing is admitted until enough have ended", append(fill[:3:3],
			moment{at: 104_000, owner: 2, do: heartbeat, count: 1, running: 3},
			moment{at: 106_000, owner: 2, do: acquire, running: 2}, // drops owner 1
			moment{at: 107_000, owner: 1, do: heartbeat, count: 2, running: 4},
			moment{at: 107_000, owner: 2, do: release, running: 3},
			moment{at: 107_000, owner: 2, do: acquire, verdict: Full, running: 3},
			moment{at: 107_000, owner: 1, do: release, running: 2},
			moment{at: 107_000, owner: 2, do: acquire, running: 3},
		)},
		{"a release of a dropped owner changes nothing", append(fill[:3:3],
			moment{at: 106_000, owner: 2, do: acquire, running: 2},
			moment{at: 106_000, owner: 1, do: release, same: true, running: 2},
		)},
		{"an owner that acquires is alive, however long it was silent: its share counts again", append(fill[:3:3],
			moment{at: 106_000, do: look, running: 0},
			moment{at: 106_000, owner: 1, do: acquire, running: 3},
			moment{at: 106_000, owner: 1, do: acquire, verdict: Full, running: 3},
		)},
		{"an owner that releases is alive", append(fill[:3:3],
			moment{at: 106_000, owner: 1, do: release, running: 1},
		)},
		{"each change shows that the owner is alive", append(fill[:3:3],
			moment{at: 104_000, owner: 1, do: release, running: 2},
			moment{at: 109_000, do: look, running: 1},
			moment{at: 109_001, do: look, running: 0},
		)},
		{"a heartbeat corrects lost releases", append(fill[:3:3],
			moment{at: 101_000, owner: 1, do: heartbeat, count: 1, running: 2},
			moment{at: 101_000, owner: 2, do: heartbeat, count: 0, running: 1},
		)},
		{"another worker's clock is a little behind", append(fill[:3:3],
			moment{at: 99_999, owner: 3, do: acquire, verdict: Full, running: 3},
		)},
		{"a heartbeat of another clock does not count", append(fill[:3:3],
			moment{at: 94_999, owner: 3, do: acquire, running: 1},
		)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s State
			for i, m := range tc.moments {
				now := m.at * ms
				switch m.do {
				case acquire:
					if got := s.Acquire(three, m.owner, now); got != m.verdict {
						t.Fatalf("moment %d: Acquire = %v, want %v", i, got, m.verdict)
					}
				case release:
					if changed := s.Release(m.owner, now); changed == m.same {
						t.Fatalf("moment %d: Release = %v, want %v", i, changed, !m.same)
					}
				case heartbeat:
					if changed := s.Heartbeat(m.owner, m.count, now); changed == m.same {
						t.Fatalf("moment %d: Heartbeat = %v, want %v", i, changed, !m.same)
					}
				}
				if got := s.Running(three, now); got != m.running {
					t.Fatalf("moment %d: Running = %d, want %d: %+v", i, got, m.running, s)
				}
			}
		})
	}
}

func TestTooManyOwners(t *testing.T) {
	c := Config{Max: 10_000, Expiry: 5 * time.Second}
	var s State
	for owner := range uint32(MaxOwners) {
		if got := s.Acquire(c, owner, 100*second); got != Acquired {
			t.Fatalf("owner %d: Acquire = %v, want %v", owner, got, Acquired)
		}
	}
	if got := s.Acquire(c, MaxOwners, 100*second); got != TooManyOwners {
		t.Fatalf("one owner too many: Acquire = %v, want %v", got, TooManyOwners)
	}
	if s.Heartbeat(MaxOwners, 7, 100*second) {
		t.Fatal("Heartbeat of one owner too many = true, want false")
	}
	if got := s.Acquire(c, 0, 100*second); got != Acquired {
		t.Fatalf("an owner in the list: Acquire = %v, want %v", got, Acquired)
	}
	if got := s.Running(c, 100*second); got != MaxOwners+1 {
		t.Fatalf("Running = %d, want %d", got, MaxOwners+1)
	}
	if got := s.Acquire(c, MaxOwners, 106*second); got != Acquired || len(s.Owners) != 1 {
		t.Fatalf("after the others died: Acquire = %v with %d owners, want %v with 1", got, len(s.Owners), Acquired)
	}
}

func TestCountsDoNotOverflow(t *testing.T) {
	c := Config{Max: math.MaxUint32, Expiry: time.Second}
	s := State{Owners: []Owner{{ID: 1, Count: math.MaxUint32}, {ID: 2, Count: 1}}}
	if got := s.Running(c, 0); got != math.MaxUint32 {
		t.Errorf("Running = %d, want %d", got, uint32(math.MaxUint32))
	}
	if got := s.Acquire(c, 1, 0); got != Full {
		t.Errorf("Acquire = %v, want %v", got, Full)
	}
}

// TestTwoMaximaOfOneState lets two plugins with different maxima acquire in one state: each compares the shared sum with
// its own.
func TestTwoMaximaOfOneState(t *testing.T) {
	small, large := Config{Max: 2, Expiry: time.Minute}, Config{Max: 4, Expiry: time.Minute}
	var s State
	for i, step := range []struct {
		config  Config
		owner   uint32
		release bool
		want    Verdict
	}{
		{config: large, owner: 1},
		{config: small, owner: 2},
		{config: small, owner: 2, want: Full},
		{config: large, owner: 1},
		{config: large, owner: 1},
		{config: large, owner: 1, want: Full},
		{owner: 1, release: true},
		{config: small, owner: 2, want: Full},
		{config: large, owner: 1},
		{owner: 1, release: true},
		{owner: 1, release: true},
		{owner: 1, release: true},
		{config: small, owner: 2},
		{config: small, owner: 2, want: Full},
	} {
		if step.release {
			s.Release(step.owner, 1000)
		} else if got := s.Acquire(step.config, step.owner, 1000); got != step.want {
			t.Fatalf("step %d, owner %d, max %d: got %v, want %v: %+v", i+1, step.owner, step.config.Max, got, step.want, s)
		}
	}
}
