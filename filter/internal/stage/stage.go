// Package stage is how a request is admitted: the stages that can refuse it, asked in order, each told once what became
// of what it admitted.
//
//	Admit   ─► Shared: breaker, limit, bulkhead, retry budget ─► limit by key ─► mesh limit ─► … admitted
//	            one change of the cluster's record                 │ refused: what was admitted is settled as Neither
//	Settle  ◄─ each stage that admitted, once its outcome is known, and once it is over
//
// A stage is one package with one type. It is added by one line in request.newChain, and by one field of Call where it
// has to remember something between Admit and Settle.
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

// Stage is one thing that can refuse a request. One goroutine uses it at a time.
type Stage interface {
	// Admit decides about a request at time now (nanoseconds, monotonic).
	Admit(c *Call, now int64) Verdict
	// Settle is told what became of a request that Admit admitted: its outcome once, and once that it is over. It reports
	// whether the record it works on changed; that matters to the members of a Shared alone.
	Settle(c *Call, s *Settlement, now int64) (changed bool)
}

// Member is a stage that keeps its state in the cluster's record. Admit and Settle work on Call.Record, as it was just
// loaded, and may run several times, each on a newly loaded record.
type Member interface {
	Stage
	// Done is called once after the change that an admitting Admit or a Settle was part of has ended: with the settlement,
	// nil after an Admit. Stored reports whether the change is in the store.
	Done(c *Call, s *Settlement, stored bool)
}

// Verdict is a stage's decision. The zero Verdict admits.
type Verdict struct {
	Reason  fallback.Reason // why it refuses; fallback.None: it does not
	Wait    time.Duration   // of a refusal: until a request may be admitted; 0: nobody knows
	Changed bool            // a Member changed the record. With a refusal: what it repaired there has to be stored
	Pending bool            // the request has to wait: Call.Waiter.Decided tells the verdict
}

// Settlement is what became of an admitted request.
type Settlement struct {
	Known   bool            // the outcome is known now
	Outcome breaker.Outcome // where Known
	Ending  *outcome.Ending // where Known: for log lines
	Took    time.Duration   // where Known: how long upstream took
	Over    bool            // the request is over: what it holds is given back
}

// Reporter hears what goes wrong in a stage's store.
type Reporter interface {
	// Conflicts tells how often another worker changed a record first.
	Conflicts(n int)
	// Fault tells of a failure of the filter itself. The request passes.
	Fault(err error)
}

// Waiter is a request that waits for a stage.
type Waiter interface {
	// Decided tells the verdict of the stage that answered Pending.
	Decided(v Verdict, now int64)
}

// Queue is where a pending request waits.
type Queue interface {
	// Leave takes a request out that no longer waits.
	Leave(c *Call)
}

// Call is one attempt on its way through the stages: what they need to know of the request, and what each remembers
// between Admit and Settle. The zero Call holds nothing.
type Call struct {
	Key    sharedstate.Fingerprint // of a limit by key
	Waiter Waiter                  // for stages that may answer Pending
	Retry  bool                    // a failed attempt may be followed by another
	Later  bool                    // it is not the request's first attempt

	Record *sharedstate.Record // the cluster's, during a change of a Shared
	Held   Held

	Ticket  breaker.Ticket   // breaker: of the generation that admitted it
	Moved   Transition       // breaker: what Admit or Settle changed, until Done
	Placed  bool             // bulkhead: the worker counts the call among those in flight
	Limits  [MaxLimits]Limit // by the limit's index in the policy
	Retries Retries          // retry budget

	queue      Queue
	admitted   int  // how many stages, from the first
	settled    bool // the outcome was told
	faulted    bool // the cluster's record could not be changed: nothing is held there
	settlement Settlement
}

// MaxLimits is how many limits a cluster may have.
const MaxLimits = 1

// Held is a set of what an admitted request holds.
type Held uint8

// What a request may hold.
const (
	HeldProbe   Held = 1 << iota // a place for probes of a half-open breaker, until its outcome is known
	HeldRetries                  // a reservation of retries, until its outcome is known
	HeldPlace                    // a place of the bulkhead, until it is over
)

// Limit is what a limit remembers of a call.
type Limit struct {
	Verdict ratelimit.Verdict
	Slot    sharedstate.Slot // where the state of the call's key is
}

// Retries is what the retry budget remembers of a call.
type Retries struct {
	Reserved retry.Reservation // what the router was told that it may make
	Made     int               // of them
	Denied   bool              // the budget had nothing left
}

// Transition is a change of a breaker's status.
type Transition struct {
	From, To breaker.Status
	Cause    breaker.Cause // breaker.NoTransition: it did not change
}

// Pending reports whether the call waits for a stage.
func (c *Call) Pending() bool { return c.queue != nil }

// Wait notes where a call waits whose stage answers Pending.
func (c *Call) Wait(q Queue) { c.queue = q }
