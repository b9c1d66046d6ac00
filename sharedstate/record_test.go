package sharedstate

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/bulkhead"
	"github.com/weir-mesh/weir/policy/packed"
)

func anyRecord(t *rapid.T) Record {
	r := Record{
		Breaker: breaker.State{
			Status:     breaker.Status(rapid.IntRange(0, 2).Draw(t, "status")),
			Generation: rapid.Uint32().Draw(t, "generation"),
			Since:      rapid.Int64().Draw(t, "since"),
			Wait:       time.Duration(rapid.Int64().Draw(t, "wait")),
		},
		Resets: rapid.Uint32().Draw(t, "resets"),
		Budget: rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "budget"),
		Limit:  rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "limit"),
	}
	if r.Breaker.Status == breaker.HalfOpen {
		for i := range rapid.IntRange(0, breaker.MaxProbes).Draw(t, "probes") {
			r.Breaker.Probes[i] = rapid.Int64().Draw(t, "expiry")
		}
	}
	if rapid.Bool().Draw(t, "slow calls") {
		r.Breaker.Slow[0].Width = rapid.Int64Range(1, 1<<40).Draw(t, "width")
		r.Breaker.Slow[0].Buckets[7].Calls = rapid.Uint32().Draw(t, "calls")
	}
	for range rapid.IntRange(0, 4).Draw(t, "owners") {
		r.Bulkhead.Owners = append(r.Bulkhead.Owners, bulkhead.Owner{
			ID: rapid.Uint32().Draw(t, "id"), Count: rapid.Uint32Range(1, 100).Draw(t, "count"), Heartbeat: rapid.Int64().Draw(t, "beat"),
		})
	}
	return r
}

// difference is what got has (+) and want has (-), "" where they are equal.
func difference(want, got Record) string { return cmp.Diff(want, got, cmpopts.EquateEmpty()) }

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(t)
		b := r.AppendTo(nil)
		got := anyRecord(t) // what was in it before does not matter
		if !got.Unpack(b) || difference(r, got) != "" {
			t.Fatalf("Unpack(%x): want (-), got (+):\n%s", b, difference(r, got))
		}
	})
}

// TestTornRecordIsFresh changes one byte of a packed record, or cuts it: it must be read as a fresh one. (The budget's
// and the limit's bytes check themselves.)
func TestTornRecordIsFresh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(t)
		b := r.AppendTo(nil)
		if rapid.Bool().Draw(t, "cut") {
			b = b[:rapid.IntRange(0, len(b)-1).Draw(t, "length")]
		} else {
			i := rapid.IntRange(0, len(b)-len(r.Budget)-len(r.Limit)-1).Draw(t, "at")
			b[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		}
		got := anyRecord(t)
		if got.Unpack(b) || difference(Record{}, got) != "" {
			t.Fatalf("Unpack(%x) of a torn record left %+v, want a fresh record", b, got)
		}
	})
}

func TestRecordOfAnotherVersionIsFresh(t *testing.T) {
	b := (&Record{Limit: []byte{1}}).AppendTo(nil)
	for _, version := range []byte{0, RecordVersion - 1, RecordVersion + 1, 255} {
		b[0] = version
		var got Record
		if got.Unpack(b) || difference(Record{}, got) != "" {
			t.Errorf("version %d: Unpack left %+v, want a fresh record", version, got)
		}
	}
}

// TestRecordSize checks the documented sizes.
func TestRecordSize(t *testing.T) {
	one := bulkhead.State{Owners: []bulkhead.Owner{{ID: 1, Count: 1}}}
	for _, tc := range []struct {
		name   string
		record Record
		want   int
	}{
		{"a breaker alone", Record{}, 56},
		{"and a bulkhead", Record{Bulkhead: one}, 12 + 2*4 + 4 + 40 + 16},
		{"and a retry budget and a limit", Record{Bulkhead: one, Budget: make([]byte, 184), Limit: make([]byte, 40)}, 12 + 4*4 + 4 + 40 + 16 + 184 + 40},
	} {
		if got := len(tc.record.AppendTo(nil)); got != tc.want {
			t.Errorf("%s: got %d bytes, want %d", tc.name, got, tc.want)
		}
	}
}

// TestImpossibleRecordIsFresh: bytes that no record packs to, under a check that is right.
func TestImpossibleRecordIsFresh(t *testing.T) {
	full := Record{
		Bulkhead: bulkhead.State{Owners: []bulkhead.Owner{{ID: 1, Count: 1}}},
		Budget:   []byte{2, 3}, Limit: []byte{4},
	}
	good := full.AppendTo(nil)
	const entries, entryAt = 4, headerSize
	breakerAt := entryAt + entries*entrySize + 4
	sealed := breakerAt + full.Breaker.Size() + full.Bulkhead.Size()
	for _, tc := range []struct {
		name  string
		at    int
		value byte
	}{
		{"one section less", 1, entries - 1},
		{"one section more", 1, entries + 1},
		{"more sections than bytes", 1, 255},
		{"reserved byte 2", 2, 1},
		{"reserved byte 3", 3, 1},
		{"kind 0", entryAt, 0},
		{"unknown kind", entryAt + 3*entrySize, sectionKinds},
		{"the same kind twice", entryAt + entrySize, sectionBreaker},
		{"kinds that descend", entryAt, sectionBudget},
		{"reserved byte of an entry", entryAt + 1, 1},
		{"an empty section", entryAt + 3*entrySize + 2, 0},
		{"a section beyond the end", entryAt + 3*entrySize + 3, 1},
		{"an impossible breaker", breakerAt, byte(breaker.Open) + 1},
		{"an impossible bulkhead: count 0", breakerAt + full.Breaker.Size() + 4, 0},
	} {
		b := bytes.Clone(good)
		b[tc.at] = tc.value
		packed.Seal(b[:sealed])
		got := full
		if got.Unpack(b) || difference(Record{}, got) != "" {
			t.Errorf("%s: Unpack(%x) left %+v, want a fresh record", tc.name, b, got)
		}
	}
	noBreaker := []byte{RecordVersion, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, sectionLimit, 0, 1, 0, 7}
	packed.Seal(noBreaker[:16])
	if got := full; got.Unpack(noBreaker) || difference(Record{}, got) != "" {
		t.Errorf("without a breaker: Unpack(%x) left %+v, want a fresh record", noBreaker, got)
	}
	if got := (Record{}); !got.Unpack(good) || difference(full, got) != "" {
		t.Errorf("Unpack(%x): want (-), got (+):\n%s", good, difference(full, got))
	}
}

func FuzzRecordUnpack(f *testing.F) {
	f.Add([]byte{})
	f.Add((&Record{}).AppendTo(nil))
	half := Record{
		Breaker:  breaker.State{Status: breaker.HalfOpen, Cause: breaker.RecoveryTimeout, Probes: [breaker.MaxProbes]int64{1, 2, 3}, Slow: breaker.Windows{{Width: 1}}},
		Bulkhead: bulkhead.State{Owners: []bulkhead.Owner{{ID: 1, Count: 2, Heartbeat: 3}}},
		Budget:   []byte{4, 5},
		Limit:    []byte{1, 2, 3},
	}
	f.Add(half.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again Record
		if r.Unpack(bytes.Clone(b)) {
			if !again.Unpack(r.AppendTo(nil)) || difference(r, again) != "" {
				t.Fatalf("Unpack(%x), packed and unpacked again: want (-), got (+):\n%s", b, difference(r, again))
			}
			return
		}
		if difference(Record{}, r) != "" {
			t.Fatalf("Unpack(%x) = false left %+v, want a fresh record", b, r)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	for name, r := range map[string]Record{
		"breaker":  {},
		"limit":    {Limit: make([]byte, 40)},
		"log512":   {Limit: make([]byte, 2100)},
		"bulkhead": {Bulkhead: bulkhead.State{Owners: []bulkhead.Owner{{ID: 1, Count: 1}, {ID: 2, Count: 1}}}},
		"all":      {Breaker: breaker.State{Failed: breaker.Windows{{Width: 1}}, Slow: breaker.Windows{{Width: 1}}}, Limit: make([]byte, 40)},
	} {
		b.Run(name, func(b *testing.B) {
			packed := r.AppendTo(nil)
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				if !r.Unpack(packed) {
					b.Fatal("Unpack = false, want true")
				}
				buf = r.AppendTo(buf[:0])
			}
		})
	}
}
