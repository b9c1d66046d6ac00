package bulkhead

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestModel compares each result with a plain model: the share of each owner, and when it last changed.
func TestModel(t *testing.T) {
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		type share struct {
			count uint32
			at    int64
		}
		c := Config{Max: rapid.SampledFrom([]uint32{1, 2, 5, 20}).Draw(t, "max"), Expiry: 5 * time.Second}
		model := map[uint32]share{}
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
			switch rapid.SampledFrom([]string{"acquire", "acquire", "acquire", "release", "heartbeat"}).Draw(t, "do") {
			case "acquire":
				if known {
					model[owner] = share{mine.count, now}
				}
				want := Full
				if running(now) < c.Max {
					want = Acquired
					for id := range model { // the dead stay dead
						if d := now - model[id].at; d > int64(c.Expiry) || -d > int64(c.Expiry) {
							delete(model, id)
						}
					}
					model[owner] = share{mine.count + 1, now}
				} else {
					refused++
					if known {
						model[owner] = mine // a refusal is not stored
					}
				}
				before := slices.Clone(s.Owners)
				if got := s.Acquire(c, owner, now); got != want {
					t.Fatalf("Acquire = %v, want %v; state %+v, model %+v", got, want, s, model)
				}
				if want != Acquired {
					s.Owners = before
				}
			case "release":
				if changed := s.Release(owner, now); changed != known {
					t.Fatalf("Release = %v, want %v", changed, known)
				}
				if known {
					model[owner] = share{mine.count - 1, now}
				}
			case "heartbeat":
				count := rapid.SampledFrom([]uint32{0, 1, 2, 3}).Draw(t, "count")
				if changed := s.Heartbeat(owner, count, now); changed != (known || count > 0) {
					t.Fatalf("Heartbeat = %v, want %v", changed, known || count > 0)
				}
				model[owner] = share{count, now}
			}
			if model[owner].count == 0 {
				delete(model, owner)
			}
			if got, want := s.Running(c, now), running(now); got != want || len(s.Owners) != len(model) {
				t.Fatalf("Running = %d, want %d; state %+v, model %+v", got, want, s, model)
			}
		}
	})
	if refused == 0 {
		t.Error("the draws never filled the bulkhead, want some refusals")
	}
}

// worker is one of those that share the bulkhead. Its compare-and-swap is cut in two, so that another can come between:
// it loads and changes, and later it swaps.
type worker struct {
	id        uint32
	running   uint32 // its running requests
	heartbeat int64  // when it last stored a change

	do      string // "": idle
	now     int64
	loaded  bool
	version int
	state   State
	verdict Verdict
	changed bool
}

// world is the workers and the state that they share.
type world struct {
	*rapid.T
	c         Config
	clock     int64
	shared    State
	version   int
	workers   []*worker
	lastID    uint32
	refused   int
	conflicts int
}

func clone(s State) State { return State{Owners: slices.Clone(s.Owners)} }

// begin gives an idle worker something to do. A request that it releases is no longer running, also if the release is
// lost.
func (w *world) begin(k *worker, do string) {
	k.do, k.now, k.loaded = do, w.clock, false
	if do == "release" {
		k.running--
	}
}

// step performs the next half of a busy worker's compare-and-swap.
func (w *world) step(k *worker) {
	if !k.loaded {
		k.loaded, k.version, k.state = true, w.version, clone(w.shared)
		switch k.do {
		case "acquire":
			k.verdict = k.state.Acquire(w.c, k.id, k.now)
			k.changed = k.verdict == Acquired
		case "release":
			k.changed = k.state.Release(k.id, k.now)
		case "heartbeat":
			k.changed = k.state.Heartbeat(k.id, k.running, k.now)
		}
		if k.changed {
			return
		}
	} else if k.version != w.version {
		w.conflicts++
		k.loaded = false
		return
	}
	if k.changed {
		w.shared, w.version = k.state, w.version+1
		k.heartbeat = k.now
		if k.do == "acquire" {
			k.running++
		}
	} else if k.do == "acquire" {
		w.refused++
	}
	k.do = ""
}

// finish completes what a worker does.
func (w *world) finish(k *worker) {
	for k.do != "" {
		w.step(k)
	}
}

// pass advances the clock. Each worker sends its heartbeat each second or a little later, as its timer does.
func (w *world) pass(by int64) {
	w.clock += by
	for _, k := range w.workers {
		if w.clock-k.heartbeat > second {
			w.finish(k)
			w.begin(k, "heartbeat")
			w.finish(k)
			k.heartbeat = w.clock // with nothing running it stores nothing
		}
	}
}

func (w *world) start() {
	w.lastID++
	w.workers = append(w.workers, &worker{id: w.lastID, heartbeat: w.clock})
}

func (w *world) check() {
	running := uint32(0)
	for _, k := range w.workers {
		running += k.running
	}
	if running > w.c.Max {
		w.Fatalf("got %d running, want at most %d: %+v", running, w.c.Max, w.shared)
	}
}

// TestWorkers interleaves workers at each compare-and-swap. All send heartbeats in time, some crash, some releases are
// lost. There must never be more running than Max, and in the end all of Max must be available.
func TestWorkers(t *testing.T) {
	refused, conflicts, crashed, lost := 0, 0, 0, 0
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
			case do == "release" && k.running > 0:
				w.begin(k, do)
			case do == "lose" && k.running > 0:
				k.running-- // its release never reached the store
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
		// After Expiry the crashed ones are dead, and the others have sent a heartbeat.
		for range 6 {
			w.pass(second + 1)
		}
		running := uint32(0)
		for _, k := range w.workers {
			running += k.running
		}
		if got := w.shared.Running(w.c, w.clock); got != running {
			t.Fatalf("Running = %d, want %d", got, running)
		}
		for ; running < w.c.Max; running++ {
			if got := w.shared.Acquire(w.c, w.workers[0].id, w.clock); got != Acquired {
				t.Fatalf("Acquire with %d of %d running = %v, want %v", running, w.c.Max, got, Acquired)
			}
		}
		if got := w.shared.Acquire(w.c, w.workers[0].id, w.clock); got != Full {
			t.Fatalf("Acquire with all %d running = %v, want %v", w.c.Max, got, Full)
		}
		refused, conflicts = refused+w.refused, conflicts+w.conflicts
	})
	if refused == 0 || conflicts == 0 || crashed == 0 || lost == 0 {
		t.Errorf("the draws are too weak: got %d refused, %d conflicts, %d crashed, %d lost, want some of each", refused, conflicts, crashed, lost)
	}
}
