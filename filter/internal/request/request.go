// Package request is the state machine of one request. It does not depend on a proxy.
//
//	          admitted                       response                      end
//	Idle ───────────────► Sent ─────────────────────────► Responding ───────────► Done
//	 │ ▲                   ▲ │                               ▲   ▲
//	 │ └ failover ┐        │ │ a failure is retried          │   │ no further attempt: an earlier
//	 │            │        │ ▼ by the filter               good  │ response passes
//	 ├─ waits ─► Waiting ──┘ Backoff ──► Queued ──► Retrying ┴───┤
//	 │            │            ▲  │ due   for Redis    │         │
//	 │ refused    │ refused    └──┼────────────────────┘ failed  │
//	 ▼            ▼               ▼ refused: no further attempt ─┘
//	Replied: a local reply takes the response's place
//
// Each event takes the time and returns a Step, one of a closed set; the stream's owner carries it out. The stages
// (package stage) make the decisions that all workers share. An Observer counts and logs.
//
// An attempt's outcome is settled as soon as it is certain: a failing status or a reset when it is seen, a success when
// the response has ended, Neither when the client left first. Events may come late, twice, or never: a state ignores
// events that it does not list, and what is never settled expires.
package request

import (
	"github.com/weir-mesh/weir/filter/internal/fallbackcache"
	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/fallback"
)

// State is the state of a request.
type State uint8

// The states.
const (
	Idle       State = iota // not decided yet; without a policy a request stays in this state and passes
	Waiting                 // a stage waits for Redis; the request is paused
	Sent                    // the request was admitted, no response has come
	Responding              // upstream's response, or another filter's, passes to the client
	Replied                 // a local reply took its place
	Backoff                 // the response is held back until the next attempt is due
	Queued                  // as Backoff, and a stage of the next attempt waits for Redis
	Retrying                // as Backoff, and the next attempt was sent
	Done                    // over
)

// Request is one request. The zero Request has no policy.
type Request struct {
	state    State
	shadow   fallback.Reason // the reason for which a policy in shadow would have refused
	ended    bool            // the response has ended; only a stage in shadow still waits
	mayKeep  bool            // the response that was let through may be kept, or outdate one that is: Keep decides
	home     *Cluster        // that the request is for
	cluster  *Cluster        // of the current attempt; not home only after failover between retries
	route    *Cluster        // to which the request's route leads without failover's header; not home after failover
	in       Incoming
	decided  bool
	decision fallback.Reason // where decided
	keyText  string          // what operators may see of the key of a request that waited for Redis
	keyRead  bool            // keyText is that

	attempt  stage.Attempt // the current one, or the last
	came     int64         // when the request did, nanoseconds; of what a client's deadline may have ended, its stream
	sent     int64         // when the attempt began
	took     int64         // nanoseconds from sent to the response's headers; 0 before they come
	progress progress
	ending   outcome.Ending
	retry    retryState
	capture  *fallbackcache.Capture
}

// kind is the closed set of events.
type kind uint8

const (
	begins       kind = iota // the request's headers have come
	decided                  // the stage for which the attempt waits has decided
	responds                 // a response's headers have come, upstream's or any other
	isWhole                  // upstream has the whole request
	passes                   // a piece of the response's body passes
	isWatched                // it is time to look whether a probe's response flows
	isDue                    // it is time for the next attempt
	attemptEnded             // the filter's attempt has ended
	ends                     // the response has ended
	isGone                   // the stream has ended
)

// event is one event with its arguments. The comments say of which kind.
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

// on handles one event. An event that is not listed under the state has come too late or twice, and changes nothing.
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
		case isWhole:
			r.progress.whole = e.now
		case ends:
			r.end(e)
		case isGone:
			r.gone(e)
		}
	case Responding:
		switch e.kind {
		case decided: // in shadow
			r.decidedInShadow(e.verdict, e.now)
		case isWhole:
			r.progress.whole = e.now
		case passes:
			r.piece(e.now)
		case isWatched:
			r.watched(e.now)
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
