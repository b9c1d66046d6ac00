package sharedstate

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/bulkhead"
)

func anyWindow(t *rapid.T, name string) (w breaker.Window) {
	if !rapid.Bool().Draw(t, name) {
		return w
	}
	w.Width = rapid.Int64Range(1, 1<<40).Draw(t, "width")
	w.Start = w.Width * rapid.Int64Range(0, 1<<20).Draw(t, "start")
	for i := range w.Buckets {
		w.Buckets[i].Calls = rapid.Uint32().Draw(t, "calls")
		w.Buckets[i].Bad = rapid.Uint32Range(0, w.Buckets[i].Calls).Draw(t, "bad")
	}
	return w
}

func anyRecord(t *rapid.T) Record {
	r := Record{
		Breaker: breaker.State{
			Status:     breaker.Status(rapid.IntRange(0, 2).Draw(t, "status")),
			Generation: rapid.Uint32().Draw(t, "generation"),
			Failures:   rapid.Uint32().Draw(t, "failures"),
			Successes:  rapid.Uint32().Draw(t, "successes"),
			Opens:      rapid.Uint32().Draw(t, "opens"),
			Since:      rapid.Int64().Draw(t, "since"),
			Wait:       time.Duration(rapid.Int64().Draw(t, "wait")),
			Failed:     anyWindow(t, "failure rate"),
			Slow:       anyWindow(t, "slow calls"),
			Forced:     breaker.Forced(rapid.IntRange(0, 2).Draw(t, "forced")),
			Cause:      breaker.Cause(rapid.IntRange(0, int(breaker.Operator)).Draw(t, "cause")),
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
	for range rapid.IntRange(0, 4).Draw(t, "owners") {
		r.Bulkhead.Owners = append(r.Bulkhead.Owners, bulkhead.Owner{
			ID: rapid.Uint32().Draw(t, "id"), Count: rapid.Uint32Range(1, 100).Draw(t, "count"), Beat: rapid.Int64().Draw(t, "beat"),
		})
	}
	return r
}

func difference(a, b Record) string { return cmp.Diff(a, b, cmpopts.EquateEmpty()) }

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(t)
		b := r.AppendTo(nil)
		got := anyRecord(t) // what was in it before does not matter
		if !got.Unpack(b) || difference(r, got) != "" {
			t.Fatalf("wanted (-) and got (+):\n%s", difference(r, got))
		}
	})
}

// TestTornRecordIsFresh changes one byte of a packed record, or cuts it: it must be read as a fresh one. (The budget's and
// the limit's bytes check themselves.)
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
			t.Fatalf("a torn record was believed: %+v", got)
		}
	})
}

func TestRecordOfAnotherVersionIsFresh(t *testing.T) {
	b := (&Record{Limit: []byte{1}}).AppendTo(nil)
	for _, version := range []byte{0, RecordVersion - 1, RecordVersion + 1, 255} {
		b[0] = version
		var got Record
		if got.Unpack(b) || difference(Record{}, got) != "" {
			t.Errorf("version %d was believed: %+v", version, got)
		}
	}
}

// TestRecordThatNobodyPacksIsFresh: numbers beyond what their fields know, under a check that holds.
func TestRecordThatNobodyPacksIsFresh(t *testing.T) {
	for name, r := range map[string]Record{
		"status": {Breaker: breaker.State{Status: breaker.Open + 1}},
		"forced": {Breaker: breaker.State{Forced: breaker.ForcedClosed + 1}},
		"cause":  {Breaker: breaker.State{Cause: breaker.Operator + 1}},
	} {
		var got Record
		if got.Unpack(r.AppendTo(nil)) || difference(Record{}, got) != "" {
			t.Errorf("%s: believed: %+v", name, got)
		}
	}
	for at := 54; at < recordFixed; at++ {
		b := (&Record{}).AppendTo(nil)
		b[at] = 1
		binary.LittleEndian.PutUint32(b[20:], checksum(b))
		var got Record
		if got.Unpack(b) {
			t.Errorf("byte %d: believed", at)
		}
	}
}

func FuzzRecordUnpack(f *testing.F) {
	f.Add([]byte{})
	f.Add((&Record{}).AppendTo(nil))
	half := Record{
		Breaker:  breaker.State{Status: breaker.HalfOpen, Cause: breaker.RecoveryTimeout, Probes: [breaker.MaxProbes]int64{1, 2, 3}, Slow: breaker.Window{Width: 1}},
		Bulkhead: bulkhead.State{Owners: []bulkhead.Owner{{ID: 1, Count: 2, Beat: 3}}},
		Budget:   []byte{4, 5},
		Limit:    []byte{1, 2, 3},
	}
	f.Add(half.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again Record
		if r.Unpack(bytes.Clone(b)) {
			if !again.Unpack(r.AppendTo(nil)) || difference(r, again) != "" {
				t.Fatalf("believed %x, comes back as %s", b, difference(r, again))
			}
			return
		}
		if difference(Record{}, r) != "" {
			t.Fatalf("refused bytes left %+v", r)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	for name, r := range map[string]Record{
		"breaker":  {},
		"limit":    {Limit: make([]byte, 40)},
		"log512":   {Limit: make([]byte, 2100)},
		"bulkhead": {Bulkhead: bulkhead.State{Owners: []bulkhead.Owner{{ID: 1, Count: 1}, {ID: 2, Count: 1}}}},
		"all":      {Breaker: breaker.State{Failed: breaker.Window{Width: 1}, Slow: breaker.Window{Width: 1}}, Limit: make([]byte, 40)},
	} {
		b.Run(name, func(b *testing.B) {
			packed := r.AppendTo(nil)
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				if !r.Unpack(packed) {
					b.Fatal("not read")
				}
				buf = r.AppendTo(buf[:0])
			}
		})
	}
}
