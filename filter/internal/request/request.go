// Package request is what happens to one request, as a state machine that knows no proxy.
//
//	          admitted                       response                      end
//	Idle ───────────────► Sent ─────────────────────────► Responding ───────────► Done
//	 │ ▲                   ▲ │                               ▲   ▲
//	 │ └ failover ┐        │ │ a failure is retried          │   │ no further attempt: an earlier
//	 │            │        │ ▼ by the filter               good  │ response stands
//	 ├─ waits ─► Waiting ──┘ Backoff ──► Queued ──► Retrying ┴───┤
//	 │            │            ▲  │ due   for Redis    │         │
//	 │ refused    │ refused    └──┼────────────────────┘ failed  │
//	 ▼            ▼               ▼ refused: no further attempt ─┘
//	Replied: a local reply takes the response's place
//
// Each event takes the time and returns a Step, one of a closed set; the stream's owner carries it out. What many workers
// must agree on is decided by the stages (package stage). What is worth knowing goes to an Observer.
//
// An attempt's outcome is settled at the earliest moment at which it is certain: a failing status or a reset when it is
// seen, a success when the response has ended, Neither when the client left first. Events may come late, twice, or never:
// a late one finds a state that has no use for it, and what is never settled expires.
package request

import (
	"github.com/weir-mesh/weir/filter/internal/fallbackcache"
	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/fallback"
)

// State is where a request stands.
type State uint8

// The states.
const (
	Idle       State = iota // nothing is decided; without a policy a request stays here, and everything passes
	Waiting                 // a stage waits for Redis; the request is held back
	Sent                    // the request was let through, no response has come
	Responding              // upstream's response, or another filter's, passes to the client
	Replied                 // a local reply took its place
	Backoff                 // the response is held back until the next attempt is due
	Queued                  // the same, and a stage of the next attempt waits for Redis
	Retrying                // the same, and the next attempt is out
	Done                    // nothing more can happen
)

// Request is one request on its way. The zero Request has no policy.
type Request struct {
	state   State
	shadow  fallback.Reason // what a policy in shadow would have refused for
	ended   bool            // the response has ended; only a stage in shadow still waits
	mayKeep bool            // the response that was let through may be kept, or outdate one that is: Keep decides
	home    *Cluster        // that the request is for
	cluster *Cluster        // of the attempt that runs; another one only with failover between retries
	in      Incoming

	attempt stage.Attempt // that runs, or ran last
	sent    int64         // when it began
	took    int64         // nanoseconds from there to the response's headers; 0 before that
	ending  outcome.Ending
	retry   retryState
	capture *fallbackcache.Capture
}

// kind is the closed set of events.
type kind uint8

const (
	begins       kind = iota // the request's headers have come
	decided                  // the stage that the attempt waits for has decided
	responds                 // a response's headers have come, whoever made it
	isDue                    // it is time for the next attempt
	attemptEnded             // the filter's attempt has ended
	ends                     // the response has ended
	isGone                   // the stream is gone
)

// event is one event, with what comes with it.
type event struct {
	kind     kind
	now      int64
	verdict  stage.Verdict  // decided
	response Response       // responds; a copy, or each request would allocate one
	keyOf    KeyOf          // isDue
	result   *AttemptResult // attemptEnded
	grpc     int            // ends: the grpc-status of the trailers, else outcome.NoGRPC
	details  string         // isGone: response.code_details
	attempts int            // isGone: of the router, 0: unknown
}

// on takes one event. An event that is not listed under the state has come too late or twice, and changes nothing.
func (r *Request) on(e *event) Step {
	switch r.state {
	case Idle:
		switch e.kind {
		case begins:
			return r.admit(e.now)
		}
	case Waiting:
		switch e.kind {
		case decided:
			return r.admitted(r.cluster.chain.Resume(&r.attempt, e.verdict, e.now), e.now)
		case responds: // another filter answered meanwhile
			r.attempt.StopWaiting()
			return r.responded(&e.response, e.now)
		case isGone:
			r.gone(e)
		}
	case Sent:
		switch e.kind {
		case decided: // in shadow
			r.decidedInShadow(e.verdict, e.now)
		case responds:
			return r.responded(&e.response, e.now)
		case ends:
			r.end(e)
		case isGone:
			r.gone(e)
		}
	case Responding:
		switch e.kind {
		case decided: // in shadow
			r.decidedInShadow(e.verdict, e.now)
		case ends:
			r.end(e)
		case isGone:
			r.gone(e)
		}
	case Backoff:
		switch e.kind {
		case isDue:
			return r.nextAttempt(e.keyOf, e.now)
		case isGone:
			r.gone(e)
		}
	case Queued:
		switch e.kind {
		case decided:
			return r.sendAttempt(r.cluster.chain.Resume(&r.attempt, e.verdict, e.now), e.now)
		case isGone:
			r.gone(e)
		}
	case Retrying:
		switch e.kind {
		case attemptEnded:
			return r.attemptEnded(e.result, e.now)
		case isGone:
			r.gone(e)
		}
	case Replied:
		switch e.kind {
		case ends: // a response of the filter's own attempt is kept
			r.keep(e.now)
		case isGone:
			r.gone(e)
		}
	case Done:
	}
	return Step{}
}
