package cache

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/sharedstate"
)

func anyIndex(t *rapid.T) *index {
	x := &index{notBefore: rapid.Int64Min(0).Draw(t, "not before")}
	for slot := range rapid.SliceOfNDistinct(rapid.Uint16Range(0, SegmentWays-1), 0, 20, rapid.ID[uint16]).Draw(t, "slots") {
		x.ways = append(x.ways, way{
			key:    sharedstate.Fingerprint{Hi: rapid.Uint64().Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")},
			stored: rapid.Int64Min(0).Draw(t, "stored"),
			path:   rapid.Uint64().Draw(t, "path"),
			size:   rapid.Uint32Range(headFixed, MaxEntryBytes).Draw(t, "size"),
			slot:   uint16(slot),
		})
	}
	x.room = uint32(x.bytes())
	return x
}

func TestIndexRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, got := anyIndex(t), anyIndex(t)
		b := x.AppendTo(nil)
		if !got.Unpack(b) || got.room != x.room || got.notBefore != x.notBefore || !slices.Equal(got.ways, x.ways) {
			t.Fatalf("got %+v, want %+v", got, x)
		}
	})
}

func TestFullIndexIsOfTheSizeThatTheDocsSay(t *testing.T) {
	var x index
	for i := range SegmentWays {
		_, _ = x.put(way{key: keyOf(i), stored: int64(i), size: headFixed}, SegmentWays, nil)
	}
	if n := len(x.AppendTo(nil)); n != 10_256 {
		t.Errorf("got %d bytes, want 10256", n)
	}
}

func TestIndexMakesRoom(t *testing.T) {
	type entry struct {
		key    int
		stored int64
		slot   uint16
	}
	three := []entry{{1, 10, 0}, {2, 30, 1}, {3, 20, 2}}
	for _, tc := range []struct {
		name     string
		before   []entry
		put      entry // and the slot it gets
		capacity int
		freed    []uint16
		after    []entry
	}{
		{"the first", nil, entry{1, 10, 0}, 3, nil, []entry{{1, 10, 0}}},
		{"a key keeps its slot", three, entry{2, 40, 1}, 3, nil, []entry{{1, 10, 0}, {2, 40, 1}, {3, 20, 2}}},
		{"a free slot", three, entry{4, 40, 3}, 4, nil, append(three[:3:3], entry{4, 40, 3})},
		{"a free slot between", []entry{{1, 10, 0}, {3, 20, 2}}, entry{4, 40, 1}, 3, nil, []entry{{1, 10, 0}, {4, 40, 1}, {3, 20, 2}}},
		{"the least recently stored goes", three, entry{4, 40, 0}, 3, nil, []entry{{4, 40, 0}, {2, 30, 1}, {3, 20, 2}}},
		{"the least recently stored goes, though the new one is older", three, entry{4, 5, 0}, 3, nil, []entry{{4, 5, 0}, {2, 30, 1}, {3, 20, 2}}},
		{"a smaller policy keeps the newest", three, entry{4, 40, 0}, 2, []uint16{2}, []entry{{4, 40, 0}, {2, 30, 1}}},
		{"a smaller policy, the key had a slot", three, entry{3, 40, 2}, 2, []uint16{0}, []entry{{2, 30, 1}, {3, 40, 2}}},
		{"a policy of one", three, entry{3, 40, 2}, 1, []uint16{0, 1}, []entry{{3, 40, 2}}},
		{"slots of a larger policy", []entry{{1, 10, 100}, {2, 30, 200}}, entry{4, 40, 0}, 2, []uint16{100}, []entry{{4, 40, 0}, {2, 30, 200}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var x index
			for _, e := range tc.before {
				x.ways = append(x.ways, way{key: keyOf(e.key), stored: e.stored, slot: e.slot, size: headFixed})
			}
			slot, freed := x.put(way{key: keyOf(tc.put.key), stored: tc.put.stored, size: headFixed}, tc.capacity, nil)
			if slot != tc.put.slot || !slices.Equal(freed, tc.freed) {
				t.Errorf("got slot %d, freed %v, want %d, %v", slot, freed, tc.put.slot, tc.freed)
			}
			var after []entry
			for _, w := range x.ways {
				after = append(after, entry{int(w.key.Hi), w.stored, w.slot})
			}
			if !slices.Equal(after, tc.after) {
				t.Errorf("got %v, want %v", after, tc.after)
			}
		})
	}
}

func FuzzIndexUnpack(f *testing.F) {
	f.Add([]byte(nil), uint64(0))
	x := index{room: granule, notBefore: 7}
	f.Add(x.AppendTo(nil), uint64(0))
	for i := range 3 {
		_, _ = x.put(way{key: keyOf(i), stored: int64(i), size: headFixed}, 9, nil)
	}
	f.Add(x.AppendTo(nil), uint64(1))
	x.ways = x.ways[1:]
	f.Add(x.AppendTo(nil), uint64(2))
	f.Fuzz(func(t *testing.T, b []byte, n uint64) {
		x := index{ways: []way{{size: 1}}, room: 1, notBefore: 1}
		ok := x.Unpack(b)
		if !ok && (len(x.ways) != 0 || x.room != 0 || x.notBefore != 0) {
			t.Fatalf("Unpack of invalid bytes: got %+v, want an empty index", x)
		}
		if ok && !bytes.Equal(x.AppendTo(nil), b) {
			t.Fatalf("packed again: got %x, want %x", x.AppendTo(nil), b)
		}
		key := keyOf(int(n))
		w, found := lookup(b, key)
		if want := x.find(key); ok && (found != (want != nil) || found && w != *want) {
			t.Fatalf("lookup in %x: got %+v, %v, want %+v", b, w, found, want)
		}
		for i := range x.ways {
			if !slotTaken(b, x.ways[i].slot) {
				t.Fatalf("slotTaken(%d) of %+v: got false, want true", x.ways[i].slot, x)
			}
		}
	})
}
