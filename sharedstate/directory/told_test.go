package directory

import (
	"bytes"
	"slices"
	"testing"

	"github.com/weir-mesh/weir/sharedstate"
)

func TestToldIsTheLatest(t *testing.T) {
	s := sharedstate.NewMemory()
	for _, told := range []Told{
		{At: 1, Asked: 10, Limit: 100, Remaining: 50},
		{At: 3, Asked: 30, Limit: 100, Remaining: 30, Ratio: 0.5, RatioKnown: true},
		{At: 4, Asked: 20, Limit: 100, Remaining: 40}, // another worker's, older
	} {
		if err := told.Publish(s, "a"); err != nil {
			t.Fatal(err)
		}
	}
	var got Told
	if _, err := sharedstate.NewCell(s, ToldKey("a"), &got).Load(); err != nil || got.Remaining != 30 || got.Ratio != 0.5 || !got.RatioKnown {
		t.Errorf("%+v (%v)", got, err)
	}
}

// TestToldByAClockThatWentBack: another server took Redis's place whose clock is an hour behind. What it tells counts, though
// not at once: until then what comes may be a worker's old word.
func TestToldByAClockThatWentBack(t *testing.T) {
	const hour = 3600 * 1_000_000 // of Redis's clock
	s := sharedstate.NewMemory()
	for _, tc := range []struct {
		told Told
		want int64 // remaining
	}{
		{Told{At: 100 * second, Asked: 2 * hour, Limit: 100, Remaining: 50}, 50},
		{Told{At: 101 * second, Asked: hour, Limit: 100, Remaining: 40}, 50},
		{Told{At: 161 * second, Asked: hour + 1, Limit: 100, Remaining: 30}, 30},
		{Told{At: 162 * second, Asked: hour + 2, Limit: 100, Remaining: 20}, 20},
	} {
		if err := tc.told.Publish(s, "a"); err != nil {
			t.Fatal(err)
		}
		var got Told
		if _, err := sharedstate.NewCell(s, ToldKey("a"), &got).Load(); err != nil || got.Remaining != tc.want {
			t.Errorf("at %d s: %+v (%v), want %d remaining", tc.told.At/second, got, err, tc.want)
		}
	}
}

func TestTrouble(t *testing.T) {
	for _, tc := range []struct {
		name  string
		calls []bool // failed, a second apart
		want  bool
	}{
		{"no call yet", nil, false},
		{"all well", []bool{false, false}, false},
		{"it fails", []bool{false, true}, true},
		{"another worker's went well", []bool{true, false}, true},
		{"over", []bool{true, false, false}, false},
	} {
		s := sharedstate.NewMemory()
		for i, failed := range tc.calls {
			if err := PublishCall(s, failed, int64(100+i)*second); err != nil {
				t.Fatal(err)
			}
		}
		var c Calls
		if _, err := sharedstate.NewCell(s, CallsKey, &c).Load(); err != nil || c.Trouble() != tc.want {
			t.Errorf("%s: trouble %v (%v)", tc.name, c.Trouble(), err)
		}
	}
}

func TestBaseline(t *testing.T) {
	s := sharedstate.NewMemory()
	since := func(counts ...uint64) []uint64 {
		l, err := ReadBaseline(s, "a")
		if err != nil {
			t.Fatal(err)
		}
		l.Since(counts)
		return counts
	}
	if got := since(7, 8); !slices.Equal(got, []uint64{7, 8}) {
		t.Errorf("never reset: %d", got)
	}
	if err := SetBaseline(s, "a", []uint64{7, 8}); err != nil {
		t.Fatal(err)
	}
	if got := since(7, 10, 3); !slices.Equal(got, []uint64{0, 2, 3}) {
		t.Errorf("a count that came later counts from its start: %d", got)
	}
	if got := since(2, 10); !slices.Equal(got, []uint64{2, 2}) {
		t.Errorf("a count that began anew: %d", got)
	}
}

func TestCarryIsOnes(t *testing.T) {
	s := sharedstate.NewMemory()
	for i, tc := range []struct {
		resets uint32
		mine   bool
	}{{0, false}, {1, true}, {1, false}, {3, true}, {3, false}} {
		if mine, err := Carry(s, "a", tc.resets); err != nil || mine != tc.mine {
			t.Errorf("%d: reset %d is mine: %v (%v)", i, tc.resets, mine, err)
		}
	}
}

// FuzzSmallRecords: bytes that are believed pack as they were, others leave nothing.
func FuzzSmallRecords(f *testing.F) {
	f.Add([]byte(nil))
	f.Add((&Told{Asked: 1, Limit: 2, Remaining: 1, Ratio: 1, RatioKnown: true}).AppendTo(nil))
	f.Add((&Calls{OK: 1, Failed: 2}).AppendTo(nil))
	f.Add((&Baseline{Counts: []uint64{1, 2}}).AppendTo(nil))
	f.Add((&Carried{Resets: 4}).AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range []sharedstate.Packed{&Told{}, &Calls{}, &Baseline{}, &Carried{}} {
			if p.Unpack(b) && !bytes.Equal(p.AppendTo(nil), b) {
				t.Errorf("%T: believed %x, packs as %x", p, b, p.AppendTo(nil))
			}
		}
	})
}
