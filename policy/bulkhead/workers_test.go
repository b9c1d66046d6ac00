package bulkhead

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestModel holds each answer to a plain model: who said what of itself, and when.
func TestModel(t *testing.T) {
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		type said struct {
			count uint32
			at    int64
		}
		c := Config{Max: rapid.SampledFrom([]uint32{1, 2, 5, 20}).Draw(t, "max"), Expiry: 5 * time.Second}
		model := map[uint32]said{}
		running := func(now int64) (sum uint32) {
			for _, o := range model {
				if now-o.at <= int64(c.Expiry) && o.at-now <= int64(c.Expiry) {
					sum += o.count
				}
			}
			return sum
		}
		var s State
		now := 1000 * second
		for range rapid.IntRange(50, 300).Draw(t, "steps") {
			now += rapid.SampledFrom([]int64{0, 0, 1, -ms, ms, second, 5 * second, 6 * second, -20 * second}).Draw(t, "pass")
			owner := rapid.SampledFrom([]uint32{1, 2, 3, 4}).Draw(t, "owner")
			mine, known := model[owner]
			switch rapid.SampledFrom([]string{"acquire", "acquire", "acquire", "release", "beat"}).Draw(t, "do") {
			case "acquire":
				if known {
					model[owner] = said{mine.count, now}
				}
				want := Full
				if running(now) < c.Max {
					want = Acquired
					for id := range model { // who is dead now is so for good
						if d := now - model[id].at; d > int64(c.Expiry) || -d > int64(c.Expiry) {
							delete(model, id)
						}
					}
					model[owner] = said{mine.count + 1, now}
				} else {
					refused++
					if known {
						model[owner] = mine // a refusal is not stored
					}
				}
				before := slices.Clone(s.Owners)
				if got := s.Acquire(c, owner, now); got != want {
					t.Fatalf("acquire: %v, want %v; %+v, %+v", got, want, s, model)
				}
				if want != Acquired {
					s.Owners = before
				}
			case "release":
				if changed := s.Release(owner, now); changed != known {
					t.Fatalf("release changed something: %v, known: %v", changed, known)
				}
				if known {
					model[owner] = said{mine.count - 1, now}
				}
			case "beat":
				count := rapid.SampledFrom([]uint32{0, 1, 2, 3}).Draw(t, "count")
				if changed := s.Beat(owner, count, now); changed != (known || count > 0) {
					t.Fatalf("beat changed something: %v, known: %v", changed, known)
				}
				model[owner] = said{count, now}
			}
			if model[owner].count == 0 {
				delete(model, owner)
			}
			if got, want := s.Running(c, now), running(now); got != want || len(s.Owners) != len(model) {
				t.Fatalf("%d run, want %d; %+v, %+v", got, want, s, model)
			}
		}
	})
	if refused == 0 {
		t.Error("the draws never filled it")
	}
}

// worker is one of those that share the bulkhead. Its loop of compare-and-swap is cut in two where another may come
// between: it loads and works, and later it swaps.
type worker struct {
	id     uint32
	holds  uint32 // what truly runs in it
	beaten int64  // its last stored sign of life

	do      string // "": idle
	now     int64
	loaded  bool
	version int
	state   State
	verdict Verdict
	changed bool
}

// world is the workers, and the state that they share.
type world struct {
	*rapid.T
	c       Config
	clock   int64
	shared  State
	version int
	workers []*worker
	lastID  uint32
	refused int
	met     int
}

func clone(s State) State { return State{Owners: slices.Clone(s.Owners)} }

// begin gives an idle worker something to do. What it releases runs no more from here on, whatever comes of it.
func (w *world) begin(k *worker, do string) {
	k.do, k.now, k.loaded = do, w.clock, false
	if do == "release" {
		k.holds--
	}
}

// step takes a busy worker one half further.
func (w *world) step(k *worker) {
	if !k.loaded {
		k.loaded, k.version, k.state = true, w.version, clone(w.shared)
		switch k.do {
		case "acquire":
			k.verdict = k.state.Acquire(w.c, k.id, k.now)
			k.changed = k.verdict == Acquired
		case "release":
			k.changed = k.state.Release(k.id, k.now)
		case "beat":
			k.changed = k.state.Beat(k.id, k.holds, k.now)
		}
		if k.changed {
			return
		}
	} else if k.version != w.version {
		w.met++
		k.loaded = false
		return
	}
	if k.changed {
		w.shared, w.version = k.state, w.version+1
		k.beaten = k.now
		if k.do == "acquire" {
			k.holds++
		}
	} else if k.do == "acquire" {
		w.refused++
	}
	k.do = ""
}

// finish lets a worker come to the end of what it does.
func (w *world) finish(k *worker) {
	for k.do != "" {
		w.step(k)
	}
}

// pass lets time go by. Each worker beats as its timer says, each second or a little later.
func (w *world) pass(by int64) {
	w.clock += by
	for _, k := range w.workers {
		if w.clock-k.beaten > second {
			w.finish(k)
			w.begin(k, "beat")
			w.finish(k)
			k.beaten = w.clock // nothing to store where it holds nothing
		}
	}
}

func (w *world) start() {
	w.lastID++
	w.workers = append(w.workers, &worker{id: w.lastID, beaten: w.clock})
}

func (w *world) check() {
	truly := uint32(0)
	for _, k := range w.workers {
		truly += k.holds
	}
	if truly > w.c.Max {
		w.Fatalf("%d run, %d allowed: %+v", truly, w.c.Max, w.shared)
	}
}

// TestWorkers interleaves workers that beat in time at each compare-and-swap, and lets some of them crash and some of
// their releases get lost. Never do more run than Max, and when all is quiet again all of Max is there.
func TestWorkers(t *testing.T) {
	refused, met, crashed, lost := 0, 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := &world{
			T: t, clock: 1000 * second,
			c: Config{Max: rapid.SampledFrom([]uint32{1, 2, 5, 10}).Draw(t, "max"), Expiry: 5 * time.Second},
		}
		for range rapid.SampledFrom([]int{1, 2, 3, 4}).Draw(t, "workers") {
			w.start()
		}
		for range rapid.IntRange(200, 500).Draw(t, "steps") {
			w.pass(rapid.SampledFrom([]int64{0, 0, 0, 1, ms, 300 * ms}).Draw(t, "pass"))
			i := rapid.SampledFrom([]int{0, 1, 2, 3}).Draw(t, "worker") % len(w.workers)
			k := w.workers[i]
			if k.do != "" {
				w.step(k)
				w.check()
				continue
			}
			switch do := rapid.SampledFrom([]string{"acquire", "acquire", "acquire", "release", "release", "lose", "crash"}).Draw(t, "do"); {
			case do == "acquire":
				w.begin(k, do)
			case do == "release" && k.holds > 0:
				w.begin(k, do)
			case do == "lose" && k.holds > 0:
				k.holds-- // its release never reached the store
				lost++
			case do == "crash" && rapid.SampledFrom([]bool{true, false, false}).Draw(t, "crash"):
				w.workers = slices.Delete(w.workers, i, i+1)
				w.start()
				crashed++
			}
		}
		for _, k := range w.workers {
			w.finish(k)
		}
		w.check()
		// Who crashed is dead in Expiry, and who lives has beaten by then.
		for range 6 {
			w.pass(second + 1)
		}
		truly := uint32(0)
		for _, k := range w.workers {
			truly += k.holds
		}
		if got := w.shared.Running(w.c, w.clock); got != truly {
			t.Fatalf("%d are counted, %d run", got, truly)
		}
		for ; truly < w.c.Max; truly++ {
			if got := w.shared.Acquire(w.c, w.workers[0].id, w.clock); got != Acquired {
				t.Fatalf("%v while %d of %d run", got, truly, w.c.Max)
			}
		}
		if got := w.shared.Acquire(w.c, w.workers[0].id, w.clock); got != Full {
			t.Fatalf("%v while all of %d run", got, w.c.Max)
		}
		refused, met = refused+w.refused, met+w.met
	})
	if refused == 0 || met == 0 || crashed == 0 || lost == 0 {
		t.Errorf("the draws say nothing: %d refused, %d met, %d crashed, %d lost", refused, met, crashed, lost)
	}
}
