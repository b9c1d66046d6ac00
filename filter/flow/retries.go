package flow

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/compile"
	"github.com/weir-mesh/weir/policy/retry"
)

// retries is a cluster's section `retry`, ready for requests.
type retries struct {
	conditions retry.Conditions
	budget     retry.Budget
	backoff    retry.Backoff
	most       int   // tries after the first
	perTry     int64 // nanoseconds; 0: no limit of its own
	replays    bool  // driver filter: this filter sends them. Else Envoy's router does
	maxBody    int64 // driver filter: of a request that is sent again
	via        string
	fresh      []byte // room for a record's first budget

	toRouter [retry.MaxRetries + 1][]Header // by how many the router may make
}

// newRetries makes a policy's section ready; of its headers for the router, timeout are those that the plan sets anyway.
func newRetries(p *policy.Retry, deadline int64, timeout []Header) *retries {
	r := &retries{
		conditions: retry.Conditions{On: retry.On(p.RetryOn), Methods: p.Methods},
		budget:     compile.Budget(p),
		backoff: retry.NewBackoff(retry.BackoffConfig{
			Base: p.BaseDelay, Max: p.MaxDelay, Exponential: p.ExponentialBase, Jitter: p.Jitter,
		}),
		most:    min(p.MaxAttempts-1, retry.MaxRetries),
		perTry:  int64(p.PerTryTimeout),
		replays: p.Driver == policy.DriverFilter,
		maxBody: p.MaxBodyBytes,
		via:     p.Via,
	}
	always := slices.Clone(timeout)
	switch {
	case r.perTry == 0:
	case !r.replays:
		always = append(always, Header{"x-envoy-upstream-rq-per-try-timeout-ms", milliseconds(r.perTry)})
	case deadline == 0 || r.perTry < deadline: // the router makes one try, and that is all it has time for
		always = []Header{{headerRouterTimeout, milliseconds(r.perTry)}}
	}
	for n := range r.toRouter {
		r.toRouter[n] = append(always[:len(always):len(always)], Header{"x-envoy-max-retries", strconv.Itoa(n)})
		if n > 0 && !r.replays {
			r.toRouter[n] = append(r.toRouter[n], routerConditions(&p.RetryOn)...)
		}
	}
	return r
}

// headerRouterTimeout tells the router how long all of a request's tries may take.
const headerRouterTimeout = "x-envoy-upstream-rq-timeout-ms"

func milliseconds(ns int64) string { return strconv.FormatInt(max(ns/int64(time.Millisecond), 1), 10) }

// routerConditions says retry_on in the router's words (Envoy's docs, "Router": x-envoy-retry-on, x-envoy-retry-grpc-on,
// x-envoy-retriable-status-codes). Its `5xx` is every 5xx, a reset, a connection failure and a timeout of one try; its
// `reset` is a timeout too, so that of those two each stands for both.
func routerConditions(on *policy.Failures) (headers []Header) {
	broken := on.Reset || on.Timeout
	var words, codes []string
	rest := on.Statuses
	if all := slices.IndexFunc(on.Statuses[500:], func(listed bool) bool { return !listed }) < 0; all && broken && on.ConnectFailure {
		words = append(words, "5xx")
		clear(rest[500:])
	} else {
		if broken {
			words = append(words, "reset")
		}
		if on.ConnectFailure {
			words = append(words, "connect-failure")
		}
	}
	for status, listed := range rest {
		if listed {
			codes = append(codes, strconv.Itoa(status))
		}
	}
	if len(codes) > 0 {
		words = append(words, "retriable-status-codes")
	}
	if len(words) > 0 {
		headers = append(headers, Header{"x-envoy-retry-on", strings.Join(words, ",")})
	}
	if len(codes) > 0 {
		headers = append(headers, Header{"x-envoy-retriable-status-codes", strings.Join(codes, ",")})
	}
	var grpc []string
	for code, listed := range on.GRPC {
		if name := policy.RouterGRPC(code); listed && name != "" {
			grpc = append(grpc, name)
		}
	}
	if len(grpc) > 0 {
		headers = append(headers, Header{"x-envoy-retry-grpc-on", strings.Join(grpc, ",")})
	}
	return headers
}

// state is a record's budget, fresh where the record has none that can be read.
func (r *retries) state(budget []byte) []byte {
	if r.budget.Usable(budget) {
		return budget
	}
	if r.fresh == nil {
		r.fresh = make([]byte, r.budget.Size())
	}
	r.budget.Reset(r.fresh)
	return r.fresh
}

// Retries says whether requests of this method are tried again where they fail.
func (p *Plan) Retries(method string) bool {
	return p.retries != nil && p.retries.conditions.Method(method)
}

// TooLongToRetry says whether a request's content-length is more than what Envoy keeps of a body for a retry, 1 MiB
// (per_connection_buffer_limit_bytes), and more than max_body_bytes can be. Such a request passes, but when a retry
// waits while its body still comes, the client gets 507 (seen in Envoy 1.40).
func TooLongToRetry(contentLength string) bool {
	n, err := strconv.ParseInt(contentLength, 10, 64)
	return err == nil && n > 1<<20
}
