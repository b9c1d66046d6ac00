package breaker

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// shared is the store of the workers' breaker, with compare-and-swap.
type shared struct {
	state   State
	version int
}

func (s *shared) swap(next State, version int) bool {
	if s.version != version {
		return false
	}
	s.state, s.version = next, version+1
	return true
}

// worker is one of those that share the breaker. Its compare-and-swap is cut in two, so that another can come between:
// it loads and changes, and later it swaps.
type worker struct {
	busy   bool
	admit  bool // else it settles, or carries out
	action operator
	now    int64
	t      Ticket // settled
	how    Call

	next    State // what it wants to store
	version int   // seen when it loaded
	verdict Verdict
	changed bool
	cause   Cause
}

// operator is an operator's action, carried out by one of the workers.
type operator uint8

const (
	nothing operator = iota
	forcesOpen
	forcesClosed
	undoes
	resets
)

func (o operator) forces() Forced {
	return map[operator]Forced{forcesOpen: ForcedOpen, forcesClosed: ForcedClosed}[o]
}

// world is the workers, their store, and the model that follows each change when it is stored.
type world struct {
	*rapid.T
	c       *Config
	clock   int64
	shared  shared
	model   model
	workers []worker
	running []Ticket         // admitted, neither ended nor lost
	moved   map[uint32]Cause // how each generation ended
	renewed map[uint32]bool  // generations that an operator ended without a transition
}

// pass advances the clock, but not so far that a worker between load and swap is behind by more than skew.
func (w *world) pass() {
	to := w.clock + rapid.SampledFrom([]int64{0, 1000, ms, 30 * ms, 100 * ms, 300 * ms, second, 3 * second}).Draw(w.T, "pass")
	for i := range w.workers {
		if k := &w.workers[i]; k.busy {
			to = min(to, k.now+int64(skew))
		}
	}
	w.clock = max(w.clock, to)
}

// begin gives an idle worker something to do, at its own reading of the clock.
func (w *world) begin(k *worker) {
	*k = worker{busy: true, now: w.clock - rapid.Int64Range(0, ms).Draw(w.T, "behind")}
	if rapid.IntRange(0, 39).Draw(w.T, "operator") == 0 {
		k.action = operator(rapid.IntRange(int(forcesOpen), int(resets)).Draw(w.T, "action"))
		return
	}
	if k.admit = len(w.running) == 0 || rapid.Bool().Draw(w.T, "admit"); k.admit {
		return
	}
	i := rapid.IntRange(0, len(w.running)-1).Draw(w.T, "which")
	k.t = w.running[i]
	w.running = append(w.running[:i], w.running[i+1:]...)
	if rapid.SampledFrom([]bool{true, false, false, false, false, false, false, false}).Draw(w.T, "crash") {
		k.busy = false // it is never settled
		return
	}
	k.how = Call{
		Outcome: rapid.SampledFrom([]Outcome{Neither, Success, Success, Failure}).Draw(w.T, "outcome"),
		Slow:    rapid.SampledFrom([]bool{false, false, true}).Draw(w.T, "slow"),
	}
}

// load is the first half of a compare-and-swap.
func (w *world) load(k *worker) {
	k.next, k.version = w.shared.state, w.shared.version
	switch {
	case k.action == resets:
		k.changed, k.cause = true, k.next.Reset(k.now)
	case k.action != nothing:
		k.changed, k.cause = k.next.Force(k.action.forces(), k.now)
	case k.admit:
		k.verdict = k.next.Admit(w.c, k.now)
		k.changed = k.next.Enter(&k.verdict, k.now)
		k.cause = k.verdict.Cause()
	default:
		k.changed, k.cause = k.next.Settle(w.c, k.t, k.how, k.now)
	}
	if !k.changed { // nothing to store
		w.done(k)
	}
}

// swap is the second half.
func (w *world) swap(k *worker) {
	if !w.shared.swap(k.next, k.version) {
		k.version = -1 // try again, at the same reading
		return
	}
	w.done(k)
}

// done compares a worker's result with the model's.
func (w *world) done(k *worker) {
	generation := w.model.generation
	if k.action != nothing {
		cause := w.model.operate(k.action, k.now)
		if k.cause != cause {
			w.Fatalf("operator action %d: got cause %v, want %v", k.action, k.cause, cause)
		}
		if cause == NoTransition && w.model.generation != generation {
			w.renewed[generation] = true
		}
	} else if k.admit {
		admitted, probe, halfOpened := w.model.admit(k.now)
		v := k.verdict
		if v.Admitted != admitted || (v.Ticket.Slot >= 0) != (probe || !admitted) || v.HalfOpened != halfOpened {
			w.Fatalf("got %+v, want admitted %v, probe %v, half-opened %v", v, admitted, probe, halfOpened)
		}
		if v.Admitted {
			w.running = append(w.running, v.Ticket)
		} else if (v.RetryAfter <= 0) != (w.model.forced == ForcedOpen) {
			w.Fatalf("refused: got RetryAfter %v, want 0 only if forced open, forced is %v", v.RetryAfter, w.model.forced)
		}
	} else if cause := w.model.settle(k.t, k.how, k.now); k.cause != cause {
		w.Fatalf("Settle(%+v) of %+v: got cause %v, want %v", k.how, k.t, k.cause, cause)
	}
	if k.cause != NoTransition {
		if earlier, twice := w.moved[generation]; twice {
			w.Fatalf("generation %d: got a second transition by %v, want only that by %v", generation, k.cause, earlier)
		}
		w.moved[generation] = k.cause
	}
	k.busy = false
	w.check()
}

// check checks the invariants.
func (w *world) check() {
	s := &w.shared.state
	if err := w.model.differs(s, w.clock); err != nil {
		w.Fatal(err)
	}
	if int(s.Generation) != len(w.moved)+len(w.renewed) {
		w.Fatalf("got %d transitions reported, want %d", len(w.moved), int(s.Generation)-len(w.renewed))
	}
	probes := 0
	for _, t := range w.running {
		if t.Slot >= 0 && t.Generation == s.Generation && t.Expiry > w.clock {
			probes++
		}
	}
	if probes > w.c.Probes {
		w.Fatalf("got %d running probes, want at most %d", probes, w.c.Probes)
	}
}

// recover is a client that retries with a healthy upstream: the breaker must close in the end.
func (w *world) recover() {
	w.finish(&worker{busy: true, now: w.clock, action: undoes})
	if w.shared.state.Status == Closed {
		return
	}
	w.clock += int64(w.c.MaxRecovery) + int64(w.c.ProbeTimeout) + ms
	for range w.c.SuccessThreshold {
		k := &worker{busy: true, admit: true, now: w.clock}
		if w.finish(k); !k.verdict.Admitted {
			w.Fatalf("status %v: got %+v, want a probe admitted", w.shared.state.Status, k.verdict)
		}
		w.running = nil
		w.finish(&worker{busy: true, now: w.clock, t: k.verdict.Ticket, how: Call{Outcome: Success}})
		if w.shared.state.Status == Closed {
			return
		}
	}
	w.Fatalf("after %d successes: got status %v, want closed", w.c.SuccessThreshold, w.shared.state.Status)
}

func (w *world) finish(k *worker) {
	w.load(k)
	if k.busy {
		w.swap(k)
	}
}

// TestWorkers interleaves some workers at each compare-and-swap, with random outcomes, late and lost ones, and compares
// every step with the model: no transition twice, no probe too many, never stuck.
func TestWorkers(t *testing.T) {
	seen := map[Cause]int{}
	conflicts := 0
	rapid.Check(t, func(t *rapid.T) {
		c := &Config{
			FailureThreshold: rapid.SampledFrom([]uint32{1, 3, 6, 100}).Draw(t, "failures"),
			SuccessThreshold: rapid.SampledFrom([]uint32{1, 2, 3, 4}).Draw(t, "successes"),
			Probes:           rapid.SampledFrom([]int{1, 2, 3, 4}).Draw(t, "probes"),
			Recovery:         time.Second, MaxRecovery: 4 * time.Second, ProbeTimeout: 500 * time.Millisecond,
		}
		if rapid.Bool().Draw(t, "failure_rate") {
			c.FailureRate = anyRate(t)
		}
		if rapid.Bool().Draw(t, "slow_calls") {
			c.SlowCalls = &Slow{Rate: *anyRate(t)}
		}
		w := &world{
			T: t, c: c, clock: 1000 * second, model: model{c: c},
			workers: make([]worker, rapid.SampledFrom([]int{1, 2, 3, 4}).Draw(t, "workers")),
			moved:   map[uint32]Cause{}, renewed: map[uint32]bool{},
		}
		each := make([]int, len(w.workers))
		for i := range each {
			each[i] = i
		}
		for range rapid.IntRange(1000, 2000).Draw(t, "steps") {
			k := &w.workers[rapid.SampledFrom(each).Draw(t, "worker")]
			switch {
			case !k.busy:
				w.pass()
				w.begin(k)
				k.version = -1
			case k.version < 0:
				w.load(k)
			default:
				if w.swap(k); k.busy {
					conflicts++
				}
			}
		}
		for i := range w.workers { // complete what has begun
			for k := &w.workers[i]; k.busy; {
				w.finish(k)
			}
		}
		w.recover()
		for _, cause := range w.moved {
			seen[cause]++
		}
	})
	for cause := ConsecutiveFailures; cause <= lastCause; cause++ {
		if seen[cause] == 0 {
			t.Errorf("the draws never made a transition by %v, want some", cause)
		}
	}
	if conflicts == 0 {
		t.Error("the draws made no conflicts, want some")
	}
}
