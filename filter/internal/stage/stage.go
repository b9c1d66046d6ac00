// Package stage admits requests: it asks the stages that can refuse one in order, and settles with each what it
// admitted.
//
//	Admit   ─► Shared: breaker, limit, bulkhead, retry budget ─► limit by key ─► mesh limit ─► … admitted
//	            one change of the cluster's record                 │ refused: what was admitted is settled as Neither
//	Settle  ◄─ each stage that admitted, once its outcome is known, and once it is over
//
// A stage is one type in a package of its own. To add one, change:
//
//   - filter/internal/stage/NAME: the type; a Member if its state is in the cluster's record;
//   - newChain in request/chain.go: one line, whose place is the stage's place in the order;
//   - inner in filter/imports_test.go: the package's name;
//   - Attempt: a field, if it remembers something between Admit and Settle;
//   - Held: a bit, if the request holds something until it is settled: Chain.Settle clears the bit, and
//     Attempt.needsSettling tests it;
//   - sharedstate/record.go: a kind of section, if its state is in the cluster's record;
//   - fallback.Reason, if it refuses for a reason of its own: what depends on the reasons is listed there.
package stage

import (
	"time"

	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/policy/retry"
	"github.com/weir-mesh/weir/sharedstate"
)

// Stage is what can refuse a request. One goroutine uses it at a time.
type Stage interface {
	// Admit decides about a request at time now (nanoseconds, monotonic).
	Admit(a *Attempt, now int64) Verdict
	// Settle takes the outcome of a request that Admit admitted, once, and once that the request is over. It reports
	// whether it changed the record; only a Shared uses that, for its members.
	Settle(a *Attempt, s Settlement, now int64) (changed bool)
}

// Member is a stage that keeps its state in the cluster's record. Admit and Settle work on Attempt.Record, as it was
// just loaded, and may run several times, each on a newly loaded record.
type Member interface {
	Stage
	// Done is called once after the change that an admitting Admit or a Settle was part of has ended: with the
	// settlement, the zero one after an Admit. Stored reports whether the change is in the store.
	Done(a *Attempt, s Settlement, stored bool)
}

// Placer is a Member that counts requests in flight outside of the record, too.
type Placer interface {
	// Places reports whether the record counts them.
	Places() (inRecord bool)
	// Refused is called instead of Done for a request that another member refused, or whose change could not be stored.
	Refused(a *Attempt)
}

// Verdict is a stage's decision. The zero Verdict admits.
type Verdict struct {
	Reason  fallback.Reason // why it refuses; fallback.None: it does not
	Wait    time.Duration   // of a refusal: until a request may be admitted; 0: not known
	Changed bool            // a Member changed the record. With a refusal: what it repaired there has to be stored
	Pending bool            // the request has to wait: Attempt.Waiter.Decided gets the verdict
}

// Settlement is what became of an admitted request.
type Settlement struct {
	Known   bool            // the outcome is known now
	Outcome breaker.Outcome // where Known
	Ending  *outcome.Ending // where Known: for log lines
	Took    time.Duration   // where Known: how long upstream took; Untimed: that says nothing about upstream
	// Accepted says that the outcome is the success of a stream that goes on: a failure may still follow.
	Accepted bool
	Over     bool // the request is over: what it holds is given back
}

// Untimed is the time of an attempt that is not judged by it.
const Untimed = breaker.Untimed

// Reporter counts and logs what goes wrong in a stage's store.
type Reporter interface {
	// Conflicts reports how often another worker changed a record first.
	Conflicts(n int)
	// Fault reports a failure of the filter itself. The request passes.
	Fault(err error)
}

// Waiter is a request that waits for a stage.
type Waiter interface {
	// Decided takes the verdict of the stage whose verdict was Pending.
	Decided(v Verdict, now int64)
}

// Queue is where a pending request waits.
type Queue interface {
	// Leave removes a request that no longer waits.
	Leave(a *Attempt)
}

// Attempt is one sending of a request, as the stages see it: what they need to know of the request, and what each has
// to remember between Admit and Settle. The zero Attempt holds nothing.
type Attempt struct {
	Waiter Waiter // for stages whose verdict may be Pending
	Retry  bool   // another attempt may follow if it fails
	Later  bool   // it is not the request's first attempt
	Placed bool   // bulkhead: the worker's Holds count it as in flight
	Held   Held
	Moved  Transition // breaker: what Admit or Settle changed, until Done

	Record *sharedstate.Record // the cluster's, during a change of a Shared

	Ticket  breaker.Ticket   // breaker: of the generation that admitted it
	Limits  [MaxLimits]Limit // by the limit's index in the policy
	Retries Retries          // retry budget

	queue    Queue
	admitted uint8 // how many stages, from the first
	faulted  uint8 // a bit for each stage, from the first, whose record could not be changed: nothing is held there
	settled  settled
}

// settled is whether an attempt's outcome is known.
type settled uint8

const (
	open     settled = iota // not yet
	accepted                // a success, of a stream that goes on
	final
)

// MaxLimits is how many limits a cluster may have.
const MaxLimits = 1

// Held is the set of what an admitted request holds until it is settled.
type Held uint8

// What a request may hold.
const (
	HeldProbe   Held = 1 << iota // a place for probes of a half-open breaker, until its outcome is known
	HeldRetries                  // a reservation of retries, until its outcome is known
	HeldPlace                    // a place of the bulkhead, until it is over
)

// Limit is what a limit remembers of an attempt.
type Limit struct {
	Verdict ratelimit.Verdict
	Slot    sharedstate.Slot // of a limit by key: the key, set before Admit, and where its state is
}

// Retries is what the retry budget remembers of an attempt.
type Retries struct {
	Reserved retry.Reservation // that the router may make
	Made     int               // by the router
	Denied   bool              // the budget had no retry left
}

// Transition is a change of a breaker's status.
type Transition struct {
	From, To breaker.Status
	Cause    breaker.Cause // breaker.NoTransition: it did not change
}

// Pending reports whether the attempt waits for a stage.
func (a *Attempt) Pending() bool { return a.queue != nil }

// Wait notes the queue in which an attempt waits, for a stage whose verdict is Pending.
func (a *Attempt) Wait(q Queue) { a.queue = q }
