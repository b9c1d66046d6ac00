package stage_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate"
)

// calls records what stages are called for, as in "a admit", "b settle success over".
type calls struct{ list []string }

func (c *calls) add(words ...any) {
	c.list = append(c.list, strings.TrimSuffix(fmt.Sprintln(words...), "\n"))
}

// take gives what was recorded since the last take.
func (c *calls) take() (got string) {
	got, c.list = strings.Join(c.list, ", "), nil
	return got
}

// fake is a stage whose decisions the test sets.
type fake struct {
	name    string
	calls   *calls
	verdict stage.Verdict
	holds   stage.Held
	queue   stage.Queue
	change  func(r *sharedstate.Record) // of an Admit
}

func (f *fake) Admit(c *stage.Attempt, _ int64) stage.Verdict {
	f.calls.add(f.name, "admit")
	if f.change != nil {
		f.change(c.Record)
	}
	if f.verdict.Pending {
		c.Wait(f.queue)
	} else if f.verdict.Reason == fallback.None {
		c.Held |= f.holds
	}
	return f.verdict
}

func (f *fake) Settle(_ *stage.Attempt, s stage.Settlement, _ int64) bool {
	f.calls.add(f.name, "settle", known(s), over(s))
	return f.verdict.Changed
}

func (f *fake) Done(_ *stage.Attempt, s stage.Settlement, stored bool) {
	event := "admitted"
	if s.Known || s.Over {
		event = "settled"
	}
	f.calls.add(f.name, event, stored)
}

func known(s stage.Settlement) string {
	switch {
	case !s.Known:
		return "unknown"
	case s.Outcome == breaker.Success:
		return "success"
	case s.Outcome == breaker.Failure:
		return "failure"
	default:
		return "neither"
	}
}

func over(s stage.Settlement) string {
	if s.Over {
		return "over"
	}
	return "running"
}

// fakeQueue records who leaves it.
type fakeQueue struct{ calls *calls }

func (q fakeQueue) Leave(*stage.Attempt) { q.calls.add("leave") }

var (
	success = stage.Settlement{Known: true, Outcome: breaker.Success}
	failure = stage.Settlement{Known: true, Outcome: breaker.Failure}
	isOver  = stage.Settlement{Over: true}
	limited = stage.Verdict{Reason: fallback.RateLimited, Wait: 7}
)

func TestChainUndoesOnRefusal(t *testing.T) {
	for _, tc := range []struct {
		name  string
		holds stage.Held // of the stages before the one that refuses
		want  string
	}{
		{"places held", stage.HeldPlace, "a admit, b admit, c admit, a settle neither over, b settle neither over"},
		{"a probe held", stage.HeldProbe, "a admit, b admit, c admit, a settle neither over, b settle neither over"},
		{"nothing held", 0, "a admit, b admit, c admit"},
	} {
		var seen calls
		chain := stage.NewChain(true,
			&fake{name: "a", calls: &seen, holds: tc.holds}, &fake{name: "b", calls: &seen, holds: tc.holds},
			&fake{name: "c", calls: &seen, verdict: limited}, &fake{name: "d", calls: &seen})
		var c stage.Attempt
		if got := chain.Admit(&c, 1); got != limited {
			t.Errorf("%s: Admit = %+v, want %+v", tc.name, got, limited)
		}
		if got := seen.take(); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
		if chain.Unsettled(&c) {
			t.Errorf("%s: got an open call after a refusal, want none", tc.name)
		}
	}
}

func TestChainSettlesAnOutcomeOnce(t *testing.T) {
	for _, tc := range []struct {
		name   string
		learns bool
		holds  stage.Held
		settle []stage.Settlement
		want   string
	}{
		{
			"outcome, then over", true, stage.HeldPlace,
			[]stage.Settlement{failure, isOver},
			"a settle failure running, a settle unknown over",
		},
		{"two outcomes", true, 0, []stage.Settlement{failure, success, failure}, "a settle failure running"},
		{"over twice", true, stage.HeldPlace, []stage.Settlement{isOver, isOver}, "a settle unknown over"},
		{"no stage learns", false, 0, []stage.Settlement{failure, isOver}, ""},
		{"no stage learns, a probe", false, stage.HeldProbe, []stage.Settlement{failure, success}, "a settle failure running"},
		{"no stage learns, retries reserved", false, stage.HeldRetries, []stage.Settlement{success, failure}, "a settle success running"},
	} {
		var seen calls
		chain := stage.NewChain(tc.learns, &fake{name: "a", calls: &seen, holds: tc.holds})
		var c stage.Attempt
		chain.Admit(&c, 1)
		seen.take()
		for _, s := range tc.settle {
			chain.Settle(&c, s, 2)
		}
		if got := seen.take(); got != tc.want || c.Held != 0 {
			t.Errorf("%s: got %q with %b held, want %q with none", tc.name, got, c.Held, tc.want)
		}
	}
}

func TestChainResume(t *testing.T) {
	for _, tc := range []struct {
		name    string
		verdict stage.Verdict // of the stage that was waited for
		want    string
	}{
		{"admitted", stage.Verdict{}, "c admit"},
		{"refused", limited, "a settle neither over"},
	} {
		var seen calls
		waits := &fake{name: "b", calls: &seen, verdict: stage.Verdict{Pending: true}, queue: fakeQueue{&seen}}
		chain := stage.NewChain(true, &fake{name: "a", calls: &seen, holds: stage.HeldPlace}, waits, &fake{name: "c", calls: &seen})
		var c stage.Attempt
		if got := chain.Admit(&c, 1); !got.Pending || !c.Pending() || !chain.Unsettled(&c) {
			t.Errorf("%s: Admit = %+v, pending %v, open %v; want all three", tc.name, got, c.Pending(), chain.Unsettled(&c))
		}
		if got, want := seen.take(), "a admit, b admit"; got != want {
			t.Errorf("%s: got %q, want %q", tc.name, got, want)
		}
		if got := chain.Resume(&c, tc.verdict, 2); got != tc.verdict || c.Pending() {
			t.Errorf("%s: Resume = %+v, pending %v; want %+v, false", tc.name, got, c.Pending(), tc.verdict)
		}
		if got := seen.take(); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestStopWaiting(t *testing.T) {
	for _, tc := range []struct {
		name string
		stop func(ch *stage.Chain, c *stage.Attempt)
		want string
	}{
		{"StopWaiting", func(_ *stage.Chain, c *stage.Attempt) { c.StopWaiting() }, "leave"},
		{"over", func(ch *stage.Chain, c *stage.Attempt) { ch.Settle(c, isOver, 2) }, "leave"},
		{"outcome", func(ch *stage.Chain, c *stage.Attempt) { ch.Settle(c, failure, 2) }, ""},
	} {
		var seen calls
		chain := stage.NewChain(false, &fake{name: "a", calls: &seen, verdict: stage.Verdict{Pending: true}, queue: fakeQueue{&seen}})
		var c stage.Attempt
		chain.Admit(&c, 1)
		seen.take()
		tc.stop(chain, &c)
		tc.stop(chain, &c)
		if got := seen.take(); got != tc.want || c.Pending() != (tc.want == "") {
			t.Errorf("%s: got %q, pending %v; want %q, %v", tc.name, got, c.Pending(), tc.want, tc.want == "")
		}
	}
}

// reporter implements stage.Reporter.
type reporter struct {
	conflicts int
	faults    []string
}

func (r *reporter) Conflicts(n int) { r.conflicts += n }
func (r *reporter) Fault(err error) { r.faults = append(r.faults, err.Error()) }

// flakyStore fails to store while broken, and lets another worker change the record first so many times.
type flakyStore struct {
	*sharedstate.Memory
	broken    bool
	conflicts int
}

func (s *flakyStore) Set(key string, value []byte, cas uint32) error {
	switch {
	case s.broken:
		return errors.New("store broken")
	case s.conflicts > 0:
		s.conflicts--
		return sharedstate.ErrMismatch
	}
	return s.Memory.Set(key, value, cas)
}

// shared is a Shared of fakes over a store.
type shared struct {
	*stage.Chain
	seen     calls
	store    flakyStore
	reporter reporter
}

func newShared(members ...*fake) *shared {
	s := &shared{store: flakyStore{Memory: sharedstate.NewMemory()}}
	record := &sharedstate.Record{}
	var all []stage.Member
	for _, m := range members {
		m.calls = &s.seen
		all = append(all, m)
	}
	cell := sharedstate.NewCell(&s.store, sharedstate.ClusterKey("aws"), record)
	s.Chain = stage.NewChain(true, stage.NewShared(cell, record, true, &s.reporter, all...))
	return s
}

// resets is Record.Resets as it is stored, which the fakes change.
func (s *shared) resets(t *testing.T) uint32 {
	t.Helper()
	var r sharedstate.Record
	if _, err := sharedstate.NewCell(&s.store, sharedstate.ClusterKey("aws"), &r).Load(); err != nil {
		t.Fatal(err)
	}
	return r.Resets
}

func TestSharedStoresOneChangeOfAllMembers(t *testing.T) {
	changes := func(name string, by uint32) *fake {
		return &fake{name: name, verdict: stage.Verdict{Changed: true}, change: func(r *sharedstate.Record) { r.Resets += by }}
	}
	refuses := &fake{name: "b", verdict: limited}
	repairs := &fake{
		name: "b", verdict: stage.Verdict{
			Reason:  fallback.RateLimited,
			Changed: true,
		}, change: func(r *sharedstate.Record) { r.Resets += 100 },
	}
	for _, tc := range []struct {
		name      string
		members   []*fake
		conflicts int
		want      string
		stored    uint32
	}{
		{"all admit", []*fake{changes("a", 1), changes("b", 10)}, 0, "a admit, b admit, a admitted true, b admitted true", 11},
		{"another worker is first", []*fake{changes("a", 1)}, 2, "a admit, a admit, a admit, a admitted true", 1},
		{"a refusal stores nothing", []*fake{changes("a", 1), refuses, changes("c", 10)}, 0, "a admit, b admit", 0},
		{"a repair is stored alone", []*fake{changes("a", 1), repairs}, 0, "a admit, b admit, b admit", 100},
	} {
		s := newShared(tc.members...)
		s.store.conflicts = tc.conflicts
		var c stage.Attempt
		s.Admit(&c, 1)
		if got := s.seen.take(); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
		if got := s.resets(t); got != tc.stored {
			t.Errorf("%s: got %d stored, want %d", tc.name, got, tc.stored)
		}
		if s.reporter.conflicts != tc.conflicts || len(s.reporter.faults) > 0 {
			t.Errorf("%s: got %d conflicts and faults %q, want %d and none", tc.name, s.reporter.conflicts, s.reporter.faults, tc.conflicts)
		}
	}
}

func TestSharedRefusalHoldsNothing(t *testing.T) {
	s := newShared(&fake{name: "a", holds: stage.HeldPlace}, &fake{name: "b", verdict: limited})
	var c stage.Attempt
	if got := s.Admit(&c, 1); got != limited || c.Held != 0 {
		t.Errorf("Admit = %+v with %b held, want %+v with none", got, c.Held, limited)
	}
}

func TestSharedPassesWhenTheStoreFails(t *testing.T) {
	s := newShared(&fake{name: "a", holds: stage.HeldPlace, verdict: stage.Verdict{Changed: true}})
	s.store.broken = true
	var c stage.Attempt
	if got := s.Admit(&c, 1); got != (stage.Verdict{}) || c.Held != 0 {
		t.Errorf("Admit = %+v with %b held, want it admitted with none", got, c.Held)
	}
	if got, want := s.reporter.faults, []string{"store broken"}; !slices.Equal(got, want) {
		t.Errorf("got faults %q, want %q", got, want)
	}
	s.seen.take()
	s.store.broken = false
	s.Settle(&c, stage.Settlement{Known: true, Outcome: breaker.Failure, Over: true}, 2)
	if got := s.seen.take(); got != "" {
		t.Errorf("settle after the fault: got %q, want no member called", got)
	}
}

func TestSharedSettleThatIsNotStored(t *testing.T) {
	s := newShared(&fake{name: "a", holds: stage.HeldPlace, verdict: stage.Verdict{Changed: true}})
	var c stage.Attempt
	s.Admit(&c, 1)
	s.seen.take()
	s.store.broken = true
	s.Settle(&c, stage.Settlement{Known: true, Outcome: breaker.Failure, Over: true}, 2)
	if got, want := s.seen.take(), "a settle failure over, a settled false"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(s.reporter.faults) != 1 || c.Held != 0 {
		t.Errorf("got faults %q and %b held, want one fault and none", s.reporter.faults, c.Held)
	}
}
