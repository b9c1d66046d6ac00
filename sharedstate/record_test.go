package sharedstate

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/ratelimit"
)

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
		},
		Bucket: ratelimit.Bucket{Level: rapid.Int64().Draw(t, "level"), At: rapid.Int64().Draw(t, "at")},
	}
	if r.Breaker.Status == breaker.HalfOpen {
		for i := range rapid.IntRange(0, breaker.MaxProbes).Draw(t, "probes") {
			r.Breaker.Probes[i] = rapid.Int64().Draw(t, "expiry")
		}
	}
	return r
}

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(t)
		b := r.AppendTo(nil)
		var got Record
		if !got.Unpack(b) || got != r {
			t.Fatalf("got %+v, want %+v", got, r)
		}
		if len(b) > RecordMax {
			t.Fatalf("%d bytes, at most %d were promised", len(b), RecordMax)
		}
	})
}

// TestTornRecordIsFresh changes one byte of a packed record, or cuts it: it must be read as a fresh one.
func TestTornRecordIsFresh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRecord(t)
		b := r.AppendTo(nil)
		if rapid.Bool().Draw(t, "cut") {
			b = b[:rapid.IntRange(0, len(b)-1).Draw(t, "length")]
		} else {
			i := rapid.IntRange(0, len(b)-1).Draw(t, "at")
			b[i] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		}
		got := anyRecord(t)
		if got.Unpack(b) || got != (Record{}) {
			t.Fatalf("a torn record was believed: %+v", got)
		}
	})
}

func TestRecordOfAnotherVersionIsFresh(t *testing.T) {
	b := (&Record{Bucket: ratelimit.Bucket{Level: 1, At: 1}}).AppendTo(nil)
	for _, version := range []byte{0, RecordVersion - 1, RecordVersion + 1, 255} {
		b[0] = version
		var got Record
		if got.Unpack(b) || got != (Record{}) {
			t.Errorf("version %d was believed: %+v", version, got)
		}
	}
}

func FuzzRecordUnpack(f *testing.F) {
	f.Add([]byte{})
	f.Add((&Record{}).AppendTo(nil))
	half := Record{Breaker: breaker.State{Status: breaker.HalfOpen, Probes: [breaker.MaxProbes]int64{1, 2, 3}}}
	f.Add(half.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Record
		if r.Unpack(b) {
			if again := r.AppendTo(nil); !bytes.Equal(trimmed(again), trimmed(b)) && r.Breaker.Status != breaker.HalfOpen {
				t.Fatalf("believed %x, packs as %x", b, again)
			}
			return
		}
		if r != (Record{}) {
			t.Fatalf("refused bytes left %+v", r)
		}
	})
}

// trimmed leaves the check out.
func trimmed(b []byte) []byte { return append(append([]byte(nil), b[:20]...), b[24:]...) }

func BenchmarkRecord(b *testing.B) {
	r := Record{Bucket: ratelimit.Bucket{Level: 1, At: 1}}
	buf := make([]byte, 0, RecordMax)
	b.ReportAllocs()
	for b.Loop() {
		buf = r.AppendTo(buf[:0])
		r.Unpack(buf)
	}
}
