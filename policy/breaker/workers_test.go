package breaker

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// shared is where the workers' breaker is kept: it takes a new state from who saw the last one.
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

// worker is one of those that share the breaker. Its loop of compare-and-swap is cut in two where another may come
// between: it loads and works, and later it swaps.
type worker struct {
	busy bool
	ask  bool // else it settles, or
	does operator
	now  int64
	t    Ticket // settled
	how  Call

	next    State // what it wants to store
	version int   // seen when it loaded
	verdict Verdict
	changed bool
	cause   Cause
}

// operator is what an operator does, through one of the workers.
type operator uint8

const (
	nothing operator = iota
	forcesOpen
	forcesClosed
	leavesAlone
	resets
)

func (o operator) forces() Forced {
	return map[operator]Forced{forcesOpen: ForcedOpen, forcesClosed: ForcedClosed}[o]
}

// world is the workers, what they share, and the model that follows each change at the moment when it holds.
type world struct {
	*rapid.T
	c       *Config
	clock   int64
	shared  shared
	model   model
	workers []worker
	running []Ticket // admitted, neither ended nor lost
	moved   map[uint32]Cause
	renewed map[uint32]bool // generations that an operator ended without a transition
}

// pass lets time go by, but not so much that a worker between its load and its swap falls behind by more than skew.
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
		k.does = operator(rapid.IntRange(int(forcesOpen), int(resets)).Draw(w.T, "does"))
		return
	}
	if k.ask = len(w.running) == 0 || rapid.Bool().Draw(w.T, "ask"); k.ask {
		return
	}
	i := rapid.IntRange(0, len(w.running)-1).Draw(w.T, "which")
	k.t = w.running[i]
	w.running = append(w.running[:i], w.running[i+1:]...)
	if rapid.SampledFrom([]bool{true, false, false, false, false, false, false, false}).Draw(w.T, "crash") {
		k.busy = false // nobody will ever say what became of it
		return
	}
	k.how = Call{
		Outcome: rapid.SampledFrom([]Outcome{Neither, Success, Success, Failure}).Draw(w.T, "outcome"),
		Slow:    rapid.SampledFrom([]bool{false, false, true}).Draw(w.T, "slow"),
	}
}

// load is the first half of a worker's try.
func (w *world) load(k *worker) {
	k.next, k.version = w.shared.state, w.shared.version
	switch {
	case k.does == resets:
		k.changed, k.cause = true, k.next.Reset(k.now)
	case k.does != nothing:
		k.changed, k.cause = k.next.Force(k.does.forces(), k.now)
	case k.ask:
		k.verdict = k.next.Admit(w.c, k.now)
		k.changed = k.next.Enter(&k.verdict, k.now)
		k.cause = k.verdict.Cause()
	default:
		k.changed, k.cause = k.next.Settle(w.c, k.t, k.how, k.now)
	}
	if !k.changed { // it holds as of this moment
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

// done checks a worker's result against the model's.
func (w *world) done(k *worker) {
	generation := w.model.generation
	if k.does != nothing {
		cause := w.model.operate(k.does, k.now)
		if k.cause != cause {
			w.Fatalf("an operator's %d: cause %v, want %v", k.does, k.cause, cause)
		}
		if cause == Unmoved && w.model.generation != generation {
			w.renewed[generation] = true
		}
	} else if k.ask {
		admitted, probe, halfOpened := w.model.admit(k.now)
		v := k.verdict
		if v.Admitted != admitted || (v.Ticket.Slot >= 0) != (probe || !admitted) || v.HalfOpened != halfOpened {
			w.Fatalf("got %+v, want admitted %v, probe %v, half-opened %v", v, admitted, probe, halfOpened)
		}
		if v.Admitted {
			w.running = append(w.running, v.Ticket)
		} else if (v.RetryAfter <= 0) != (w.model.forced == ForcedOpen) {
			w.Fatalf("refused, with %v until it is worth to come back, forced %v", v.RetryAfter, w.model.forced)
		}
	} else if cause := w.model.settle(k.t, k.how, k.now); k.cause != cause {
		w.Fatalf("%+v of %+v: cause %v, want %v", k.how, k.t, k.cause, cause)
	}
	if k.cause != Unmoved {
		if earlier, twice := w.moved[generation]; twice {
			w.Fatalf("generation %d ended twice: %v, %v", generation, earlier, k.cause)
		}
		w.moved[generation] = k.cause
	}
	k.busy = false
	w.check()
}

// check holds what must be so at each moment.
func (w *world) check() {
	s := &w.shared.state
	if err := w.model.differs(s, w.clock); err != nil {
		w.Fatal(err)
	}
	if int(s.Generation) != len(w.moved)+len(w.renewed) {
		w.Fatalf("%d transitions were told of, %d happened", len(w.moved), int(s.Generation)-len(w.renewed))
	}
	probes := 0
	for _, t := range w.running {
		if t.Slot >= 0 && t.Generation == s.Generation && t.Expiry > w.clock {
			probes++
		}
	}
	if probes > w.c.Probes {
		w.Fatalf("%d probes run, %d allowed", probes, w.c.Probes)
	}
}

// recover is a patient client of an upstream that is well again: it must find the breaker closed in the end.
func (w *world) recover() {
	w.finish(&worker{busy: true, now: w.clock, does: leavesAlone})
	if w.shared.state.Status == Closed {
		return
	}
	w.clock += int64(w.c.MaxRecovery) + int64(w.c.ProbeTimeout) + ms
	for range w.c.SuccessThreshold {
		k := &worker{busy: true, ask: true, now: w.clock}
		if w.finish(k); !k.verdict.Admitted {
			w.Fatalf("stuck %v: %+v", w.shared.state.Status, k.verdict)
		}
		w.running = nil
		w.finish(&worker{busy: true, now: w.clock, t: k.verdict.Ticket, how: Call{Outcome: Success}})
		if w.shared.state.Status == Closed {
			return
		}
	}
	w.Fatalf("still %v after %d successes", w.shared.state.Status, w.c.SuccessThreshold)
}

func (w *world) finish(k *worker) {
	w.load(k)
	if k.busy {
		w.swap(k)
	}
}

// TestWorkers interleaves some workers at each compare-and-swap, with random outcomes, late ones and lost ones, and
// holds every step to the model: no transition twice, no probe too many, never stuck.
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
		for i := range w.workers { // let what began come to an end
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
			t.Errorf("the draws never came to the cause %v", cause)
		}
	}
	if conflicts == 0 {
		t.Error("the draws never let two workers meet")
	}
}
