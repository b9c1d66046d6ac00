// Package retries is the compiled section `retry` of a cluster: which attempts are retried, after which delay, and the
// headers for Envoy's router.
//
//	driver: envoy    the router retries: x-envoy-max-retries and x-envoy-retry-on on each request
//	driver: filter   the router makes one attempt: x-envoy-max-retries: 0; the filter makes the others
package retries

import (
	"slices"
	"strconv"
	"time"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/compile"
	"github.com/weir-mesh/weir/policy/decimal"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/policy/retry"
)

// Rules are a compiled section. They do not change.
type Rules struct {
	Conditions retry.Conditions
	Budget     retry.Budget
	Backoff    retry.Backoff
	Most       int   // retries of one request
	PerTry     int64 // nanoseconds for one attempt; 0: no limit of its own
	ByFilter   bool  // the filter makes the retries; else Envoy's router does
	MaxBody    int64 // ByFilter: bytes of a request's body that is recorded; a longer one is sent once
	Via        string

	toRouter  [retry.MaxRetries + 1][]header.Pair // by how many retries the router may make
	toStreams [retry.MaxRetries + 1][]header.Pair // the same for answers that are meant to flow: no timeout that cuts them
}

// New compiles a section. Timeout is the breaker's, in nanoseconds, 0: none; timeoutHeader is its header for the
// router, empty if the policy does not set the timeout.
func New(p *policy.Retry, timeout int64, timeoutHeader []header.Pair) *Rules {
	r := &Rules{
		Conditions: retry.Conditions{On: retry.On(p.RetryOn), Methods: p.Methods},
		Budget:     compile.Budget(p),
		Backoff: retry.NewBackoff(retry.BackoffConfig{
			Base: p.BaseDelay, Max: p.MaxDelay, Exponential: p.ExponentialBase, Jitter: p.Jitter,
		}),
		Most:     min(p.MaxAttempts-1, retry.MaxRetries),
		PerTry:   int64(p.PerTryTimeout),
		ByFilter: p.Driver == policy.DriverFilter,
		MaxBody:  p.MaxBodyBytes,
		Via:      p.Via,
	}
	always := slices.Clone(timeoutHeader)
	var toStreams []header.Pair
	if r.PerTry > 0 { // the router's own ends only what has not been answered
		toStreams = []header.Pair{{"x-envoy-upstream-rq-per-try-timeout-ms", milliseconds(r.PerTry)}}
	}
	switch {
	case !r.ByFilter:
		always = append(always, toStreams...)
	case r.PerTry > 0 && (timeout == 0 || r.PerTry < timeout): // the router makes one attempt, within per_try_timeout
		always = TimeoutHeader(r.PerTry)
	}
	for n := range r.toRouter {
		retries := []header.Pair{{"x-envoy-max-retries", strconv.Itoa(n)}}
		if n > 0 && !r.ByFilter {
			retries = append(retries, routerConditions(&p.RetryOn)...)
		}
		r.toRouter[n], r.toStreams[n] = slices.Concat(always, retries), slices.Concat(toStreams, retries)
	}
	return r
}

// ForRouter is the headers that let the router make up to n retries. Flows: the answer is meant to flow, so no timeout for
// the whole of it is set.
func (r *Rules) ForRouter(n int, flows bool) []header.Pair {
	if flows {
		return r.toStreams[n]
	}
	return r.toRouter[n]
}

// RouterMost is how many retries the router may make of one request at most: 0 if the filter makes them.
func (r *Rules) RouterMost() int {
	if r.ByFilter {
		return 0
	}
	return r.Most
}

// TimeoutHeader is the router's header for the timeout of all attempts together, given in nanoseconds.
func TimeoutHeader(timeout int64) []header.Pair {
	return []header.Pair{{"x-envoy-upstream-rq-timeout-ms", milliseconds(timeout)}}
}

func milliseconds(ns int64) string { return strconv.FormatInt(max(ns/int64(time.Millisecond), 1), 10) }

// TooLong reports whether a request's content-length is more than what Envoy keeps of a body for a retry, 1 MiB
// (per_connection_buffer_limit_bytes), and more than max_body_bytes can be. Such a request is sent once: if a retry
// waits while the body is still coming, Envoy answers 507 (outcome.DetailsUnkept), and upstream's own answer is lost.
func TooLong(contentLength string) bool {
	n, ok := decimal.Whole(contentLength)
	return ok && n > 1<<20
}
