package request

import (
	"slices"

	"github.com/weir-mesh/weir/filter/internal/key"
	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/stage"
	breakerstage "github.com/weir-mesh/weir/filter/internal/stage/breaker"
	"github.com/weir-mesh/weir/filter/internal/stage/limit"
	"github.com/weir-mesh/weir/filter/internal/worker"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/compile"
	"github.com/weir-mesh/weir/policy/fallback"
)

// A filter that stands before Weir may change the request and clear its route. Weir then sees the first route's cluster
// until another filter, or the router, asks for the route again: the policy of that cluster decides about a request that
// goes to another one. Where it went is known when its response comes. Such a request leaves the cluster that decided
// without an outcome, and counts for the breaker and the adaptive limit of the cluster that it went to.

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
	r.in, r.came, r.sent = *in, now, now
	if whole {
		r.progress.whole = now
	}
}

// NewLearner is a cluster for requests about which the policy of another one decided: the stages of its policy that learn
// from outcomes, a breaker and an adaptive limit (by key only where that needs no headers); nil where it has none. What it shares with the cluster itself is the state.
// Everything else of the policy is left out, so that no fallback of a policy that did not decide replaces a response, and
// the limit admits nothing.
func NewLearner(upstream string, n Named, p *policy.Policy, w *worker.Worker, resumer Resumer, o Observer) *Cluster {
	l := p.RateLimit
	adaptive := l != nil && l.Algorithm == policy.Adaptive && l.Scope == policy.ScopeProxy && !needsHeaders(l.Key)
	if p.CircuitBreaker == nil && !adaptive {
		return nil
	}
	c := newCluster(upstream, n, &policy.Policy{Mode: p.Mode, CircuitBreaker: p.CircuitBreaker}, w, nil, resumer, o)
	if !adaptive {
		return c
	}
	const index = 0 // of the policy's only limit
	limiter := compile.Limiter(l)
	var members []stage.Member
	var stages []stage.Stage
	if c.breaker != nil {
		members = append(members, breakerstage.New(c.breaker, &c.failures, c.observer))
	}
	if c.ofUpstream != nil && len(members) > 0 {
		stages, members = append(stages, c.sharedByUpstream(true, members...)), nil
	}
	var byKey []stage.Stage
	if len(l.Key) > 0 {
		c.key = key.NewHasher(l.Key, w.Seed)
		byKey = append(byKey, limit.NewKeyLearner(w.Store, c.name, limiter, index, l.MaxKeys, o))
	} else {
		members = append(members, limit.NewLearner(limiter))
	}
	if len(members) > 0 {
		stages = append(stages, c.shared(true, members...))
	}
	c.chain = stage.NewChain(true, append(stages, byKey...)...)
	return c
}

// needsHeaders reports whether a key is made of the request's headers. Envoy shows a Wasm filter no request headers once they
// have passed, neither as a map nor as attributes, and only at the response is it known where the request went.
func needsHeaders(parts []policy.KeyPart) bool {
	return slices.ContainsFunc(parts, func(part policy.KeyPart) bool { return part.Kind != policy.KeyClientIP })
}

// Misrouted says that the request went to another cluster than the one that decided. What that one admitted is settled
// as Neither and given back. From now on it is a request of `to`, a NewLearner, nil where that has nothing to learn from it.
// KeyOf hashes the request for its limit by key.
func (r *Request) Misrouted(to *Cluster, keyOf KeyOf, now int64) {
	before := *r
	if r.cluster != nil {
		r.cluster.route.Watch()
	}
	r.Abandon(now)
	if to == nil {
		return
	}
	*r = Request{
		state: Sent, home: to, cluster: to, in: before.in, came: before.came, sent: before.sent, took: before.took,
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
	if to.key != nil {
		r.attempt.Limits[0].Slot.Key = keyOf(to)
	}
	if v := to.chain.Admit(&r.attempt, now); v.Reason != fallback.None {
		*r = Request{state: Done} // the breaker is open: it takes no outcome
	}
}
