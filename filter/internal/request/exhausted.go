package request

import (
	"github.com/weir-mesh/weir/policy/header"
)

// countRouterRetries takes the number of attempts that the router made, 0 where nobody knows it.
func (r *Request) countRouterRetries(attempts int) {
	made := min(max(attempts-1, 0), r.attempt.Retries.Reserved.Granted)
	for r.attempt.Retries.Made < made {
		r.attempt.Retries.Made++
		r.cluster.observer.Retried(Retry{
			Number: r.attempt.Retries.Made, Of: r.cluster.retries.Most, ByRouter: true, Cluster: r.cluster.name,
		})
	}
	r.retry.made = max(r.retry.made, r.attempt.Retries.Made)
}

// ranOut reports whether the last attempt failed as well, and none was left: it was the last of those that the policy
// has, or the budget is spent.
func (r *Request) ranOut() bool {
	rules := r.cluster.retries
	return rules != nil && r.retry.allowed && !r.retry.probe &&
		(r.retry.made > 0 || r.retry.denied || r.attempt.Retries.Denied) &&
		rules.Conditions.Retryable(r.ending.ForRetry())
}

// retriesExhausted marks a response after which nothing more was tried.
var retriesExhausted = header.Pair{header.Error, "RetryExhausted"}

// withExhausted marks a response after which nothing more was tried.
func (r *Request) withExhausted(set []header.Pair) []header.Pair {
	if !r.ranOut() {
		return set
	}
	return marked(set, retriesExhausted)
}
