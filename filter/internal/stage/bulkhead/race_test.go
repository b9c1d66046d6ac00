package bulkhead

import (
	"testing"

	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate"
)

// between runs something at a moment of another worker's request, once.
type between struct {
	*sharedstate.Memory
	numbers          Numbers
	atSet, atShowing func()
}

func run(f *func()) {
	if do := *f; do != nil {
		*f = nil
		do()
	}
}

func (b *between) Set(key string, value []byte, cas uint32) error {
	run(&b.atSet)
	return b.Memory.Set(key, value, cas)
}

func (b *between) number(cluster string, slot uint32) Number {
	return &betweenNumber{b.numbers(cluster, slot), b}
}

type betweenNumber struct {
	Number
	b *between
}

func (n *betweenNumber) Set(value uint64) {
	run(&n.b.atShowing)
	n.Number.Set(value)
}

// TestFirstRequestOfAWorker: one that is not in the record yet and one that is do not both get the last place.
func TestFirstRequestOfAWorker(t *testing.T) {
	for _, tc := range []struct {
		name   string
		first  bool // the second request is that of the new worker
		during func(b *between, other func())
	}{
		{"the other asks before the new one is in the record", true, func(b *between, other func()) { b.atSet = other }},
		{"the other asks before the new one shows its request", true, func(b *between, other func()) { b.atShowing = other }},
		{"the new one asks before the other shows its request", false, func(b *between, other func()) { b.atShowing = other }},
	} {
		store, numbers := sharedstate.NewMemory(), words{}
		b := &between{Memory: store, numbers: numbers.number}
		slow, quick := newShower(b, b.number, 2, 1), newShower(store, numbers.number, 1, 1)
		known := slow
		if tc.first {
			known = quick
		}
		known.begin(0, 100*second) // it is in the record from now on
		known.end(0, 100*second)
		tc.during(b, func() { quick.begin(0, 100*second) })
		slow.begin(0, 100*second)
		if got := len(slow.running) + len(quick.running); got > 1 {
			t.Errorf("%s: got %d admitted at a time, want at most 1", tc.name, got)
		}
		for _, w := range []*shower{slow, quick} {
			for len(w.running) > 0 {
				w.end(0, 100*second)
			}
		}
		if got := slow.begin(0, 100*second); got != fallback.None {
			t.Errorf("%s: after both have ended got %v, want it admitted", tc.name, got)
		}
	}
}
