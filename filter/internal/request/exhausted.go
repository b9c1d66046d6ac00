package request

import (
	"github.com/weir-mesh/weir/policy/header"
)

// countRouterRetries takes the number of attempts that the router made, 0 if it is not known.
func (r *Request) countRouterRetries(attempts int) {
	made := min(max(attempts-1, 0), r.attempt.Retries.Reserved.Granted)
	for r.attempt.Retries.Made < made {
		r.attempt.Retries.Made++
		r.cluster.observer.Retried(Retry{
			Number: r.attempt.Retries.Made, Of: r.cluster.retries.Most, ByRouter: true, Cluster: r.cluster.upstream,
		})
	}
	r.retry.made = max(r.retry.made, r.attempt.Retries.Made)
}

// ranOut reports whether the last attempt failed too, and no retry was left: it was the policy's last one, or the
// budget is used up.
func (r *Request) ranOut() bool {
	rules := r.cluster.retries
	return rules != nil && r.retry.allowed && !r.retry.probe &&
		(r.retry.made > 0 || r.retry.denied || r.attempt.Retries.Denied) &&
		rules.Conditions.Retryable(r.ending.ForRetry())
}

// retriesExhausted is the header of a failing response after which no retry was left.
var retriesExhausted = header.Pair{header.Error, "RetryExhausted"}

// withExhausted adds retriesExhausted if the request ranOut.
func (r *Request) withExhausted(set []header.Pair) []header.Pair {
	if !r.ranOut() {
		return set
	}
	return marked(set, retriesExhausted)
}
