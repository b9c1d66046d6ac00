package request

import (
	"time"

	"github.com/weir-mesh/weir/filter/internal/fallbackcache"
	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/replay"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate"
)

// Incoming is what a decision needs to know of a request whose headers have come.
type Incoming struct {
	Protocol   localreply.Protocol     // of remote calls other than gRPC
	GRPC       bool                    // content-type application/grpc…
	Body       bool                    // a body follows: upstream has not the whole request yet
	Events     bool                    // it accepts text/event-stream
	Upgrade    bool                    // WebSocket and the like, or CONNECT
	Connect    bool                    // CONNECT
	Malformed  bool                    // :path or :authority may be refused by a server as malformed
	Long       bool                    // its body is retries.TooLong
	Retry      bool                    // its method is one that Cluster.Retries
	ErrorOnly  bool                    // its method is one that Cluster.ErrorOnly, or it asks for an upgrade
	FailedOver bool                    // another cluster's failover sent it here
	Deadlines  Deadlines               // that its client chose
	Key        sharedstate.Fingerprint // for a cluster with a Key
	Cache      fallbackcache.Key       // for a cluster with a Cache
	Stream     uint32                  // the stream's id for Resumer.Resume
	Path       []byte                  // without its query, as the client asked for it; for a cluster that DefaultsByPath
}

// Begin decides about a request whose headers have come, at time now (nanoseconds, monotonic).
func (r *Request) Begin(c *Cluster, in *Incoming, now int64) Step {
	if r.state == Idle {
		r.home, r.cluster, r.in, r.came = c, c, *in, now
		if r.route == nil {
			r.route = c
		}
	}
	return r.on(&event{kind: begins, now: now})
}

// Decided implements stage.Waiter.
func (r *Request) Decided(v stage.Verdict, now int64) {
	if !r.attempt.Pending() {
		return // it was decided already
	}
	paused := !r.cluster.shadow // in shadow the request went on, and needs no step
	step := r.on(&event{kind: decided, verdict: v, now: now})
	if paused {
		r.home.resumer.Resume(r.in.Stream, step)
	}
}

// Response is what a decision needs to know of a response whose headers have come.
type Response struct {
	Status     int
	Details    string        // response.code_details
	GRPC       int           // grpc-status where it is in the headers, else outcome.NoGRPC
	Ended      bool          // no body follows
	Inner      bool          // another Weir has answered in place of its upstream
	Events     bool          // it is an event stream; where WantsType
	Replayable bool          // the request that Records asked for can be sent again
	Unsent     replay.Reason // why not, where RetriesOn
	RetryAfter time.Duration // that upstream asked for, 0: none; where WantsRetryAfter or Replayable
	Attempts   int           // of the router, 0: unknown; where CountsAttempts
}

// WantsResponse reports whether Respond needs the headers of the response.
func (r *Request) WantsResponse() bool { return r.state == Sent || r.state == Waiting }

// WantsRetryAfter reports whether the answer to a failure passes on how long upstream asks to wait: degraded mode does.
func (r *Request) WantsRetryAfter() bool {
	return r.cluster != nil && r.cluster.fallbacks != nil && r.cluster.fallbacks.Degraded
}

// Respond takes the headers of the response, upstream's or any other.
func (r *Request) Respond(resp *Response, now int64) Step {
	return r.on(&event{kind: responds, response: *resp, now: now})
}

// KeyOf hashes the request for another cluster's limit by key.
type KeyOf func(*Cluster) sharedstate.Fingerprint

// Due makes the next attempt, at the time of DueAt.
func (r *Request) Due(keyOf KeyOf, now int64) Step {
	return r.on(&event{kind: isDue, keyOf: keyOf, now: now})
}

// AttemptEnded takes the result of the attempt that a step SendAttempt sent.
func (r *Request) AttemptEnded(result *AttemptResult, now int64) Step {
	return r.on(&event{kind: attemptEnded, result: result, now: now})
}

// End says that the response has ended. grpc is the grpc-status of its trailers, outcome.NoGRPC where there is none.
func (r *Request) End(grpc int, now int64) { r.on(&event{kind: ends, grpc: grpc, now: now}) }

// Gone says that the stream has ended, with its last response.code_details and, if CountsAttempts, the router's number
// of attempts. What is not settled yet is settled: a response that broke off by what broke it, a client that left as
// Neither.
func (r *Request) Gone(details string, attempts int, now int64) {
	r.on(&event{kind: isGone, details: details, attempts: attempts, now: now})
}

// Unsettled reports whether End and Gone still have something to settle.
func (r *Request) Unsettled() bool {
	return r.cluster != nil && (r.capture != nil || r.cluster.chain.Unsettled(&r.attempt))
}

// Waits reports whether a stage may still decide about the request, also after its stream has ended: in shadow.
func (r *Request) Waits() bool { return r.attempt.Pending() }

// Held reports whether the response is held back while the filter makes further attempts.
func (r *Request) Held() bool { return r.state == Backoff || r.state == Queued || r.state == Retrying }

// DueAt is when the next attempt is due. ok is false unless the request waits for one.
func (r *Request) DueAt() (due int64, ok bool) {
	if r.state != Backoff {
		return 0, false
	}
	return r.retry.held.due, true
}

// CountsAttempts reports whether the request needs the router's number of attempts.
func (r *Request) CountsAttempts() bool { return r.attempt.Held&stage.HeldRetries != 0 }

// Abandon lets the rest of a request pass, after a fault of the filter or when it went to another cluster than the one
// whose policy admitted it. Its outcome does not count; its place in the bulkhead is given back.
func (r *Request) Abandon(now int64) {
	r.dropCapture(fallback.NoObstacle) // it is counted as misrouted, or as a fault
	if r.Unsettled() {
		r.cluster.chain.Settle(&r.attempt, stage.Settlement{Known: true, Over: true}, now)
	}
	*r = Request{state: Done}
}

// Forget drops a request whose callback panicked. It does not call the store: a probe expires, and the worker's next
// heartbeat corrects the bulkhead.
func (r *Request) Forget() {
	r.attempt.StopWaiting()
	r.dropCapture(fallback.NoObstacle)
	if r.attempt.Placed {
		r.cluster.worker.Holds.Remove(r.cluster.name)
	}
	*r = Request{state: Done}
}

// noGRPC means no gRPC status.
const noGRPC = outcome.NoGRPC

// marked is a copy of a set of headers with one more: sets are shared by requests.
func marked(set []header.Pair, more header.Pair) []header.Pair {
	return append(set[:len(set):len(set)], more)
}
