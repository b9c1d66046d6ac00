package request_test

import (
	"testing"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
)

func TestExplanations(t *testing.T) {
	const bucket = `"rate_limit":{"algorithm":"token_bucket","burst_capacity":1,"refill_rate":0.1}`
	for _, tc := range []struct {
		name, rules string
		begun       int  // requests before
		failed      bool // of upstream's
		want        string
	}{
		{"nothing to say", `{"circuit_breaker":{}}`, 0, false, "allowed"},
		{"a limit", `{` + bucket + `}`, 0, false, "allowed: 0 left of the limit"},
		{"a limit and retries", `{"retry":{},` + bucket + `}`, 0, false, "allowed: 0 left of the limit, the router may make 2 retries"},
		{"limit reached", `{` + bucket + `}`, 1, false, "rate_limited: limit of 1 reached, retry in 10s"},
		{"limit reached in shadow", `{"mode":"shadow",` + bucket + `}`, 1, false, "shadow_rate_limited: limit of 1 reached, retry in 10s"},
		{
			"breaker open", `{"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"10s"}}`, 0, true,
			"circuit_open: circuit breaker is open, retry in 10s",
		},
		{"bulkhead full", `{"bulkhead":{"max_concurrent":1}}`, 1, false, "bulkhead_full: all 1 places are taken"},
	} {
		p := requesttest.Start(t, tc.rules)
		for range tc.begun {
			p.Begin(request.Incoming{})
		}
		if tc.failed {
			p.RoundTrip(up, 500)
		}
		p.Begin(incoming(p, "GET"))
		if got := p.Observer.Explanation; got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}
