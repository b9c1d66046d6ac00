package cache

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

func TestLedgerKeepsItsOrderAndItsSum(t *testing.T) {
	var l ledger
	for _, step := range []struct {
		cluster string
		segment uint16
		room    uint32
		total   uint64
		rows    int
	}{
		{"b", 1, 2 * granule, 2 * granule, 1},
		{"b", 0, granule, 3 * granule, 2},
		{"a", 5, granule, 4 * granule, 3},
		{"bb", 0, granule, 5 * granule, 4},
		{"b", 1, 7 * granule, 10 * granule, 4},
		{"b", 0, 0, 9 * granule, 3},
		{"c", 0, 0, 9 * granule, 3},
		{"b", 1, granule, 3 * granule, 3},
	} {
		ok := true
		if at, found := l.find([]byte(step.cluster), step.segment); step.room != 0 {
			ok = l.grow([]byte(step.cluster), step.segment, step.room, 7)
		} else if found {
			l.lower(at, 0)
		}
		if !ok || l.total != step.total || len(l.rows) != step.rows {
			t.Fatalf("%+v: got ok %v, a total of %d in %d rows, want those of the step", step, ok, l.total, len(l.rows))
		}
		var again ledger
		if b := l.AppendTo(nil); !again.Unpack(b) || again.total != l.total || !bytes.Equal(again.AppendTo(nil), b) {
			t.Fatalf("%+v: got %+v, want %+v", step, again, l)
		}
		if got := l.room([]byte(step.cluster), step.segment); got != step.room {
			t.Fatalf("%+v: got room %d, want %d", step, got, step.room)
		}
	}
}

func TestLedgerHasABound(t *testing.T) {
	for name, tc := range map[string]struct {
		cluster string
		rows    int
	}{
		"rows":  {"cluster%d", MaxRows},
		"bytes": {strings.Repeat("long", 250) + "%d", 64}, // 64 x (16 + about 1,002)
	} {
		var l ledger
		n := 0
		for ; n <= MaxRows; n++ {
			if !l.grow(fmt.Appendf(nil, tc.cluster, n), 0, granule, 7) {
				break
			}
		}
		b := l.AppendTo(nil)
		if n != tc.rows || len(b) > MaxLedgerBytes || !new(ledger).Unpack(b) {
			t.Errorf("%s: got %d rows of %d bytes, want %d of at most %d", name, n, len(b), tc.rows, MaxLedgerBytes)
		}
		if !l.grow(fmt.Appendf(nil, tc.cluster, 0), 0, 2*granule, 7) {
			t.Errorf("%s: grow of an existing row: got false, want true", name)
		}
	}
}

func FuzzLedgerUnpack(f *testing.F) {
	f.Add([]byte(nil))
	var l ledger
	f.Add(l.AppendTo(nil))
	for i := range 3 {
		l.grow(fmt.Appendf(nil, "cluster%d", i), uint16(i), uint32(i+1)*granule, int64(i))
	}
	f.Add(l.AppendTo(nil))
	l.rows[0], l.rows[1] = l.rows[1], l.rows[0]
	f.Add(l.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := ledger{rows: []row{{room: 1}}, total: 1}
		switch ok := l.Unpack(b); {
		case ok && (!bytes.Equal(l.AppendTo(nil), b) || l.total > MaxBytes):
			t.Fatalf("packed again: got %x, want %x", l.AppendTo(nil), b)
		case !ok && (len(l.rows) != 0 || l.total != 0):
			t.Fatalf("Unpack of invalid bytes: got %+v, want an empty ledger", l)
		}
		// A valid ledger can be changed.
		l.grow([]byte("weir"), 3, granule, 7)
		if got, fits := l.room([]byte("weir"), 3), l.fits([]byte("weir")); got != granule && fits {
			t.Fatalf("got room %d, want %d", got, granule)
		}
	})
}
