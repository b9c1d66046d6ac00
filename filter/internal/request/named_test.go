package request_test

import (
	"testing"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
)

// startNamed starts a worker with a cluster of these rules, and with a policy by name that has the same.
func startNamed(t *testing.T, rules string) (own, named *requesttest.Proxy) {
	t.Helper()
	own = requesttest.Start(t, rules)
	o := &requesttest.Observer{}
	policy := requesttest.Decode(t, `{"clusters":{"aws":`+rules+`}}`).For("aws")
	return own, &requesttest.Proxy{
		TB: t, Worker: own.Worker, Observer: o, Now: own.Now,
		Cluster: request.NewNamed("aws", request.Named{Policy: "partner"}, policy, own.Worker, nil, nil, o),
	}
}

// TestNamedPolicy opens the breaker of a cluster by requests of a policy by name: the cluster's own policy is refused, too, and
// both say so to the access log. Each has a limit of its own.
func TestNamedPolicy(t *testing.T) {
	const rules = `{"circuit_breaker":{"failure_threshold":2},"rate_limit":{"requests":4,"window_size":"1h"}}`
	own, named := startNamed(t, rules)
	if got := [3]string{named.Cluster.Name(), named.Cluster.Upstream(), named.Cluster.Policy()}; got != [3]string{"aws@partner", "aws", "partner"} {
		t.Errorf("got name, upstream and policy %q", got)
	}
	for _, status := range []int{200, 503, 503} {
		named.RoundTrip(requesttest.Upstream, status)
	}
	for _, tc := range []struct {
		name  string
		proxy *requesttest.Proxy
	}{{"the policy by name", named}, {"the cluster's own", own}} {
		r, step := tc.proxy.Begin(request.Incoming{})
		d, ok := r.Decision()
		if step.Kind != request.SendReply || !ok || d.Reason != fallback.CircuitOpen || d.Breaker != breaker.Open {
			t.Errorf("%s: got step %v, decision %+v, %v; want it refused by an open breaker", tc.name, step.Kind, d, ok)
		}
		if _, err := tc.proxy.Cluster.LoadRecord(); err != nil || tc.proxy.Cluster.Record().Breaker.Status != breaker.Open {
			t.Errorf("%s: operators see the breaker %v (%v), want open", tc.name, tc.proxy.Cluster.Record().Breaker.Status, err)
		}
	}
}

// TestLimitOfANamedPolicy: requests of a policy by name use nothing of the cluster's own limit.
func TestLimitOfANamedPolicy(t *testing.T) {
	const rules = `{"rate_limit":{"requests":2,"window_size":"1h"}}`
	own, named := startNamed(t, rules)
	for i, tc := range []struct {
		proxy    *requesttest.Proxy
		admitted bool
	}{{named, true}, {named, true}, {named, false}, {own, true}, {own, true}, {own, false}} {
		if _, step := tc.proxy.Begin(request.Incoming{}); (step.Kind != request.SendReply) != tc.admitted {
			t.Errorf("request %d to %s: got step %v, want admitted %v", i+1, tc.proxy.Cluster.Name(), step.Kind, tc.admitted)
		}
	}
}

// TestNamedPolicyWithItsOwnBreaker: where one of two policies is in shadow, the breaker that its failures open refuses nothing by
// the other one.
func TestNamedPolicyWithItsOwnBreaker(t *testing.T) {
	const rules = `{"circuit_breaker":{"failure_threshold":2},"retry":{"max_attempts":2},"rate_limit":{"requests":4,"window_size":"1h"}}`
	own, named := startNamed(t, rules)
	document := requesttest.Decode(t, `{"clusters":{"aws":`+rules+`},"policies":{"trial":{"mode":"shadow",`+rules[1:]+`}}`)
	if !document.OwnBreaker("aws", "trial") {
		t.Fatal("OwnBreaker of a policy in shadow = false, want true")
	}
	trial := *named
	trial.Cluster = request.NewNamed("aws", request.Named{Policy: "trial", OwnBreaker: true}, document.Named("trial"), own.Worker, nil, nil, named.Observer)
	for _, status := range []int{503, 503} {
		trial.RoundTrip(requesttest.Upstream, status)
	}
	for _, tc := range []struct {
		proxy *requesttest.Proxy
		want  breaker.Status
	}{{&trial, breaker.Open}, {named, breaker.Closed}, {own, breaker.Closed}} {
		if _, err := tc.proxy.Cluster.LoadRecord(); err != nil || tc.proxy.Cluster.Record().Breaker.Status != tc.want {
			t.Errorf("%s: operators see the breaker %v (%v), want %v", tc.proxy.Cluster.Name(), tc.proxy.Cluster.Record().Breaker.Status, err, tc.want)
		}
	}
	if _, step := own.Begin(request.Incoming{}); step.Kind == request.SendReply {
		t.Error("a request by the cluster's own policy is refused, want it admitted")
	}
}
