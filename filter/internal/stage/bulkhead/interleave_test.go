package bulkhead

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate"
)

// interrupted runs another worker's requests at random calls of one's store and numbers.
type interrupted struct {
	*sharedstate.Memory
	numbers Numbers
	do      func()
	busy    *bool
}

func (b *interrupted) run() {
	if b.do != nil && !*b.busy {
		*b.busy = true
		b.do()
		*b.busy = false
	}
}

func (b *interrupted) Get(key string) ([]byte, uint32, error) {
	b.run()
	value, cas, err := b.Memory.Get(key)
	b.run()
	return value, cas, err
}

func (b *interrupted) Set(key string, value []byte, cas uint32) error {
	b.run()
	err := b.Memory.Set(key, value, cas)
	b.run()
	return err
}

func (b *interrupted) number(cluster string, slot uint32) Number {
	return &interruptedNumber{b.numbers(cluster, slot), b}
}

type interruptedNumber struct {
	Number
	b *interrupted
}

func (n *interruptedNumber) Set(value uint64) {
	n.b.run()
	n.Number.Set(value)
	n.b.run()
}

func (n *interruptedNumber) Value() (uint64, bool) {
	n.b.run()
	value, ok := n.Number.Value()
	n.b.run()
	return value, ok
}

// TestInterruptedRequests has workers that begin and end requests and send heartbeats in the middle of another's request:
// never are more admitted than the maximum.
func TestInterruptedRequests(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		memory, numbers, busy := sharedstate.NewMemory(), words{}, false
		most, now := rapid.Uint32Range(1, 3).Draw(t, "most"), 100*second
		var workers []*shower
		var hooks []*interrupted
		for i := range rapid.IntRange(2, 3).Draw(t, "workers") {
			b := &interrupted{Memory: memory, numbers: numbers.number, busy: &busy}
			hooks, workers = append(hooks, b), append(workers, newShower(b, b.number, uint32(i+1), most))
		}
		act := func(k int, depth string) {
			w := workers[k]
			switch rapid.IntRange(0, 5).Draw(t, depth) {
			case 0:
				if err := w.holds.Heartbeat(now); err != nil {
					t.Fatal(err)
				}
			case 1, 2:
				if len(w.running) > 0 {
					w.end(0, now)
				}
			default:
				w.begin(0, now)
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			k := rapid.IntRange(0, len(workers)-1).Draw(t, "worker")
			others := rapid.IntRange(0, 2).Draw(t, "others")
			hooks[k].do = func() {
				if others > 0 && rapid.IntRange(0, 3).Draw(t, "now") == 0 {
					others--
					act((k+1+rapid.IntRange(0, len(workers)-2).Draw(t, "other"))%len(workers), "in between")
				}
			}
			act(k, "event")
			hooks[k].do = nil
			sum := uint32(0)
			for _, w := range workers {
				sum += uint32(len(w.running))
			}
			if sum > most {
				t.Fatalf("got %d running, want at most %d", sum, most)
			}
			now += rapid.Int64Range(0, second/2).Draw(t, "pause")
			if rapid.IntRange(0, 1).Draw(t, "heartbeats") == 0 {
				for _, w := range workers {
					if err := w.holds.Heartbeat(now); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		for _, w := range workers {
			for len(w.running) > 0 {
				w.end(0, now)
			}
		}
		for _, w := range workers {
			for range most {
				if got := w.begin(0, now); got != fallback.None {
					t.Fatalf("after all have ended: got %v, want it admitted", got)
				}
			}
			for len(w.running) > 0 {
				w.end(0, now)
			}
		}
	})
}
