package status

import (
	"math"
	"testing"
	"time"

	"github.com/weir-mesh/weir/policy/breaker"
)

func TestVerdict(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	before := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	n := func(v float64) *float64 { return &v }
	for name, test := range map[string]struct {
		cluster Cluster
		want    Verdict
	}{
		"without a policy's section": {Cluster{}, Verdict{OK, ""}},
		"closed":                     {Cluster{Breaker: &Breaker{State: "closed", Forced: "auto"}}, Verdict{OK, ""}},
		"failing":                    {Cluster{Breaker: &Breaker{State: "closed", Failures: 2, FailureThreshold: 5}}, Verdict{OK, "2 of 5 failures in a row"}},
		"no budget": {
			Cluster{Breaker: &Breaker{Failures: 2, FailureThreshold: 5}, Retry: &Retry{BudgetRemaining: n(0)}},
			Verdict{OK, "2 of 5 failures in a row; the budget for retries is used up"},
		},
		"open": {
			Cluster{Breaker: &Breaker{State: "open", Since: before(time.Hour), OpenedAt: before(90 * time.Second), RetryAfter: n(29.2), Opens: 1}},
			Verdict{Open, "opened 1m30s ago; the next probe in 30s"},
		},
		"open, the wait is over": {
			Cluster{Breaker: &Breaker{State: "open", Since: before(49 * time.Hour), RetryAfter: n(0), Opens: 3}},
			Verdict{Open, "opened 2d1h ago, the 3rd time; the next request is a probe"},
		},
		"open by failures": {
			Cluster{Breaker: &Breaker{State: "open", Cause: "consecutive_failures", FailureThreshold: 5, Since: before(12 * time.Second), RetryAfter: n(48), Opens: 2}},
			Verdict{Open, "opened 12s ago by 5 failures in a row, the 2nd time; the next probe in 48s"},
		},
		"open by a rate": {
			Cluster{Breaker: &Breaker{State: "open", Cause: "failure_rate", FailureRate: n(0.5), Since: before(time.Second)}},
			Verdict{Open, "opened 1s ago by a failure rate of 50% or more; the next request is a probe"},
		},
		"open and no host": {
			Cluster{Breaker: &Breaker{State: "open"}, Upstream: &Upstream{NoHealthyHost: true}},
			Verdict{Open, "opened; the next request is a probe"},
		},
		"forced open": {
			Cluster{Breaker: &Breaker{State: "open", Forced: "open", Since: before(time.Second)}},
			Verdict{ForcedOpen, "an operator forced it open 1s ago; `weir reset` ends it"},
		},
		"forced closed": {
			Cluster{Breaker: &Breaker{State: "closed", Forced: "closed", Since: before(time.Minute)}},
			Verdict{ForcedClosed, "an operator forced it closed 1m ago; failures do not open it"},
		},
		"no host": {Cluster{Upstream: &Upstream{NoHealthyHost: true}}, Verdict{NoHost, "upstream has no healthy host"}},
		"half-open": {
			Cluster{Breaker: &Breaker{State: "half_open", Since: before(2 * time.Second), Successes: 1, SuccessThreshold: 3}},
			Verdict{HalfOpen, "probing for 2s: 1 of 3 successes that close it"},
		},
		"full": {
			Cluster{Bulkhead: &Bulkhead{InFlight: 10, MaxConcurrent: 10, Rejected: 4}},
			Verdict{Full, "all 10 places are taken; 4 refused so far"},
		},
		"limited":                 {Cluster{RateLimit: &RateLimit{PerMinute: 100, Configured: 100, Remaining: n(0.4), Limited: 7}}, Verdict{Limited, "nothing is left of 100 a minute; 7 refused so far"}},
		"limited by key":          {Cluster{RateLimit: &RateLimit{PerMinute: 100, Configured: 100, Keyed: true}}, Verdict{OK, ""}},
		"lowered":                 {Cluster{RateLimit: &RateLimit{PerMinute: 70, Configured: 100, Remaining: n(1)}}, Verdict{Lowered, "the limit went down to 70 of 100 a minute"}},
		"off":                     {Cluster{Mode: "off", Breaker: &Breaker{State: "open"}}, Verdict{Off, "its policy is off: requests pass untouched"}},
		"shadow":                  {Cluster{Mode: "shadow"}, Verdict{Shadow, "decides, but does not act"}},
		"shadow, would be full":   {Cluster{Mode: "shadow", Bulkhead: &Bulkhead{InFlight: 1, MaxConcurrent: 1}}, Verdict{Shadow, "only in shadow full: all 1 places are taken; 0 refused so far"}},
		"a state of another time": {Cluster{Breaker: &Breaker{State: "ajar"}}, Verdict{OK, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.cluster.Judge(now); got != test.want {
				t.Errorf("got %v %q, want %v %q", got.State, got.Why, test.want.State, test.want.Why)
			}
		})
	}
}

// TestCauses: each cause of a transition has words of its own.
func TestCauses(t *testing.T) {
	n := func(v float64) *float64 { return &v }
	for cause, want := range map[breaker.Cause][2]string{ // with the policy's thresholds, and without
		breaker.NoTransition:        {"", ""},
		breaker.ConsecutiveFailures: {"5 failures in a row", "a failure"},
		breaker.FailureRate:         {"a failure rate of 50% or more", "its failure rate"},
		breaker.SlowCalls:           {"a share of slow calls of 80% or more", "its share of slow calls"},
		breaker.FailedProbe:         {"a failed probe", "a failed probe"},
		breaker.SlowProbe:           {"a slow probe", "a slow probe"},
		breaker.RecoveryTimeout:     {"the end of its wait", "the end of its wait"},
		breaker.ProbesSucceeded:     {"successful probes", "successful probes"},
		breaker.Operator:            {"an operator", "an operator"},
		breaker.Operator + 1:        {"", ""}, // which is named as no cause is
	} {
		told := Breaker{Cause: cause.String(), FailureThreshold: 5, FailureRate: n(0.5), SlowCalls: n(0.8)}
		bare := Breaker{Cause: cause.String(), FailureThreshold: 1}
		if got := [2]string{told.by(), bare.by()}; got != want {
			t.Errorf("%v: got %q, want %q", cause, got, want)
		}
	}
}

func TestWords(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{seconds(0), "0s"},
		{seconds(-3), "0s"},
		{seconds(math.NaN()), "0s"},
		{seconds(0.05), "1s"},
		{seconds(59.2), "1m"},
		{seconds(3600), "1h"},
		{seconds(3601), "1h"},
		{seconds(90061), "1d1h"},
		{seconds(math.Inf(1)), "11574d1h"},
		{number(100.2), "100.2"},
		{number(1.0 / 3), "0.33"},
		{number(12345678), "12345678"},
		{number(1e300), "1e+300"},
		{number(math.NaN()), "NaN"},
		{ordinal(2), "2nd"},
		{ordinal(3), "3rd"},
		{ordinal(4), "4th"},
		{ordinal(11), "11th"},
		{ordinal(112), "112th"},
		{ordinal(121), "121st"},
		{percent(0.64), "64%"},
	} {
		if test.got != test.want {
			t.Errorf("got %s, want %s", test.got, test.want)
		}
	}
}
