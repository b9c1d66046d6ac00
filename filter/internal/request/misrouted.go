package request

import (
	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
)

// A filter that stands before Weir may change the request and clear its route. Weir then sees the first route's cluster
// until another filter, or the router, asks for the route again: the policy of that cluster decides about a request that
// goes to another one. Where it went is known when its response comes. Such a request leaves the cluster that decided
// without an outcome, and counts for the breaker of the cluster that it went to.

// RouteCheck says for which requests of a cluster the cluster that they went to is compared with the one whose policy
// decided. A check costs 11,000 instructions; one of 64 is 170 a request. The zero RouteCheck checks the next one.
type RouteCheck struct {
	seen    uint32
	watched uint32 // how many of the next are all checked
}

const (
	checkEach  = 64
	checkAfter = 1024 // after one that went elsewhere: else failures, which are all checked, would count, and successes not
)

// Due counts a request, and reports whether it is to be checked.
func (c *RouteCheck) Due() bool {
	c.seen++
	if c.watched > 0 {
		c.watched--
		return true
	}
	return c.seen%checkEach == 1
}

// Watch has the next requests all checked: one went to another cluster.
func (c *RouteCheck) Watch() { c.watched = checkAfter }

// ChecksRoute reports whether the route of a request whose response has come is to be checked: where it is Due, and
// where the response counts as a failure or may be tried again.
func (r *Request) ChecksRoute(resp *Response) bool {
	e := outcome.Ending{Event: outcome.Ended(resp.Details, outcome.Whole), Status: resp.Status, GRPC: resp.GRPC}
	return r.cluster.route.Due() || e.Outcome(&r.cluster.failures) == breaker.Failure || resp.Replayable && resp.Status >= 400
}

// ChecksRouteAtEnd reports whether the route is to be checked of a request that ends with these response.code_details, or
// with this grpc-status in its trailers: where that counts as a failure.
func (r *Request) ChecksRouteAtEnd(details string, grpc int) bool {
	if r.cluster == nil || !r.cluster.chain.Learns() {
		return false
	}
	e := outcome.Ending{Event: outcome.Ended(details, outcome.Whole), GRPC: grpc}
	return e.Outcome(&r.cluster.failures) == breaker.Failure
}

// Decider is the cluster whose policy decided about the request, nil where none did.
func (r *Request) Decider() *Cluster { return r.cluster }

// Pass notes when a request passes for which no policy decides, in case that it turns out to be Misrouted. Whole says
// that no body follows.
func (r *Request) Pass(in *Incoming, whole bool, now int64) {
	r.in, r.sent = *in, now
	if whole {
		r.progress.whole = now
	}
}

// Misrouted says that the request went to another cluster than the one that decided. What that one admitted is settled
// as Neither and given back. From now on it is a request of `to`, nil where that has nothing to learn from it; to has a
// breaker alone, so that no fallback of a policy that did not decide replaces the response.
func (r *Request) Misrouted(to *Cluster, now int64) {
	before := *r
	if r.cluster != nil {
		r.cluster.route.Watch()
	}
	r.Abandon(now)
	if to == nil {
		return
	}
	*r = Request{
		state: Sent, home: to, cluster: to, in: before.in, sent: before.sent, took: before.took,
		progress: before.progress, ending: before.ending,
	}
	if before.state == Responding {
		r.state = Responding
	}
	if before.state == Idle {
		r.ending.GRPC = noGRPC
	}
	r.in.Cache, r.in.Retry = Incoming{}.Cache, false
	r.attempt.Waiter = r
	if v := to.chain.Admit(&r.attempt, now); v.Reason != fallback.None {
		*r = Request{state: Done} // the breaker is open: it takes no outcome
	}
}
