package status

import (
	"math"
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/adminapi"
	"github.com/weir-mesh/weir/policy/breaker"
)

func TestVerdict(t *testing.T) {
	now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
	before := func(d time.Duration) *adminapi.Time { return new(adminapi.Time(now.Add(-d).UnixMilli())) }
	for name, test := range map[string]struct {
		cluster adminapi.Cluster
		want    Verdict
	}{
		"without a policy's section": {adminapi.Cluster{}, Verdict{OK, ""}},
		"closed":                     {adminapi.Cluster{Breaker: &adminapi.Breaker{State: "closed", Forced: "auto"}}, Verdict{OK, ""}},
		"failing":                    {adminapi.Cluster{Breaker: &adminapi.Breaker{State: "closed", FailureCount: 2, FailureThreshold: 5}}, Verdict{OK, "2 of 5 failures in a row"}},
		"no budget": {
			adminapi.Cluster{Breaker: &adminapi.Breaker{FailureCount: 2, FailureThreshold: 5}, Retry: &adminapi.Retry{BudgetRemaining: new(0.0)}},
			Verdict{OK, "2 of 5 failures in a row; the retry budget is used up"},
		},
		"open": {
			adminapi.Cluster{Breaker: &adminapi.Breaker{State: "open", Since: before(time.Hour), OpenedAt: before(90 * time.Second), RetryAfter: 29.2, OpensTotal: 1}},
			Verdict{Open, "opened 1m30s ago; the next probe in 30s"},
		},
		"open, the wait is over": {
			adminapi.Cluster{Breaker: &adminapi.Breaker{State: "open", Since: before(49 * time.Hour), RetryAfter: 0, OpensTotal: 3}},
			Verdict{Open, "opened 2d1h ago, the 3rd time; the next request is a probe"},
		},
		"open by failures": {
			adminapi.Cluster{Breaker: &adminapi.Breaker{State: "open", Cause: new("consecutive_failures"), FailureThreshold: 5, Since: before(12 * time.Second), RetryAfter: 48, OpensTotal: 2}},
			Verdict{Open, "opened 12s ago by 5 failures in a row, the 2nd time; the next probe in 48s"},
		},
		"open by a rate": {
			adminapi.Cluster{Breaker: &adminapi.Breaker{State: "open", Cause: new("failure_rate"), FailureRateThreshold: new(0.5), Since: before(time.Second)}},
			Verdict{Open, "opened 1s ago by a failure rate of 50% or more; the next request is a probe"},
		},
		"open and no host": {
			adminapi.Cluster{Breaker: &adminapi.Breaker{State: "open"}, Upstream: &adminapi.Upstream{NoHealthyHost: true}},
			Verdict{Open, "opened; the next request is a probe"},
		},
		"forced open": {
			adminapi.Cluster{Breaker: &adminapi.Breaker{State: "open", Forced: "open", Since: before(time.Second)}},
			Verdict{ForcedOpen, "an operator forced it open 1s ago; `weir breaker auto` ends it"},
		},
		"forced closed": {
			adminapi.Cluster{Breaker: &adminapi.Breaker{State: "closed", Forced: "closed", Since: before(time.Minute)}},
			Verdict{ForcedClosed, "an operator forced it closed 1m ago; failures do not open it"},
		},
		"no host": {adminapi.Cluster{Upstream: &adminapi.Upstream{NoHealthyHost: true}}, Verdict{NoHost, "upstream has no healthy host"}},
		"half-open": {
			adminapi.Cluster{Breaker: &adminapi.Breaker{State: "half_open", Since: before(2 * time.Second), SuccessCount: 1, SuccessThreshold: 3}},
			Verdict{HalfOpen, "probing for 2s: 1 of 3 successes that close it"},
		},
		"full": {
			adminapi.Cluster{Bulkhead: &adminapi.Bulkhead{InFlight: 10, MaxConcurrent: 10, RejectedTotal: 4}},
			Verdict{Full, "10 of 10 requests in flight; 4 not admitted so far"},
		},
		"limited":        {adminapi.Cluster{RateLimit: &adminapi.RateLimit{PerMinute: 100, ConfiguredPerMinute: 100, Remaining: new(0.4), LimitedTotal: 7}}, Verdict{Limited, "the limit of 100/min is used up; 7 not admitted so far"}},
		"limited by key": {adminapi.Cluster{RateLimit: &adminapi.RateLimit{PerMinute: 100, ConfiguredPerMinute: 100, Keyed: true}}, Verdict{OK, ""}},
		"limited by key, refusing": {
			adminapi.Cluster{RateLimit: &adminapi.RateLimit{PerMinute: 100, ConfiguredPerMinute: 100, Keyed: true, Window: 60, RefusedKeys: &adminapi.RefusedKeys{
				Since: *before(5 * time.Minute), Last: *before(59 * time.Second), Total: 13,
				Keys: []adminapi.RefusedKey{{Key: "9f86d081884c7d65", AtLeast: 10, AtMost: 12}, {Key: "0c", Text: "(none)", AtLeast: 1, AtMost: 1}},
			}}},
			Verdict{Limited, "the limit of 100/min for each key refuses some; most often 9f86d081884c7d65 10 to 12 times since 09:55:00"},
		},
		"limited by key, long ago": {
			adminapi.Cluster{RateLimit: &adminapi.RateLimit{PerMinute: 100, ConfiguredPerMinute: 100, Keyed: true, Window: 1, RefusedKeys: &adminapi.RefusedKeys{
				Since: *before(5 * time.Minute), Last: *before(10 * time.Second), Keys: []adminapi.RefusedKey{{Key: "0c"}},
			}}},
			Verdict{OK, ""},
		},
		"lowered": {adminapi.Cluster{RateLimit: &adminapi.RateLimit{PerMinute: 70, ConfiguredPerMinute: 100, Remaining: new(1.0)}}, Verdict{Lowered, "the limit went down to 70 of 100/min"}},
		"denied": {
			adminapi.Cluster{RateLimit: &adminapi.RateLimit{WithoutRedis: &adminapi.WithoutRedis{Since: *before(12 * time.Second), OnError: "deny", Proxies: 3}}},
			Verdict{Denied, "without Redis for 12s: on_error is deny, so nothing is admitted"},
		},
		"without Redis and limit": {
			adminapi.Cluster{RateLimit: &adminapi.RateLimit{WithoutRedis: &adminapi.WithoutRedis{Since: *before(12 * time.Second), OnError: "allow", Proxies: 3}}},
			Verdict{WithoutRedis, "without Redis for 12s: on_error is allow, so there is no limit"},
		},
		"without Redis": {
			adminapi.Cluster{RateLimit: &adminapi.RateLimit{Window: 10, Keyed: true, WithoutRedis: &adminapi.WithoutRedis{Since: *before(12 * time.Second), OnError: "local", Proxies: 3, PerMinute: new(120.0)}}},
			Verdict{WithoutRedis, "without Redis for 12s: on_error is local, so each of 3 proxies admits 20/10s for each key by itself"},
		},
		"alone without Redis": {
			adminapi.Cluster{RateLimit: &adminapi.RateLimit{Algorithm: "token_bucket", Window: 5, WithoutRedis: &adminapi.WithoutRedis{Since: *before(12 * time.Second), OnError: "local", Proxies: 1, PerMinute: new(100.2)}}},
			Verdict{WithoutRedis, "without Redis for 12s: on_error is local, so this proxy admits 1.67/s with bursts of 8 by itself"},
		},
		"off":                     {adminapi.Cluster{Mode: "off", Breaker: &adminapi.Breaker{State: "open"}}, Verdict{Off, "its policy is off: requests pass unchanged"}},
		"shadow":                  {adminapi.Cluster{Mode: "shadow"}, Verdict{Shadow, "its policy decides, but does not act"}},
		"shadow, would be full":   {adminapi.Cluster{Mode: "shadow", Bulkhead: &adminapi.Bulkhead{InFlight: 1, MaxConcurrent: 1}}, Verdict{Shadow, "would be full: 1 of 1 requests in flight; 0 not admitted so far"}},
		"a state of another time": {adminapi.Cluster{Breaker: &adminapi.Breaker{State: "ajar"}}, Verdict{OK, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Judge(&test.cluster, now); got != test.want {
				t.Errorf("got %v %q, want %v %q", got.State, got.Why, test.want.State, test.want.Why)
			}
		})
	}
}

// TestCauses: each cause of a transition has its own text.
func TestCauses(t *testing.T) {
	for cause, want := range map[breaker.Cause][2]string{ // with the policy's thresholds, and without
		breaker.NoTransition:        {"", ""},
		breaker.ConsecutiveFailures: {"5 failures in a row", "a failure"},
		breaker.FailureRate:         {"a failure rate of 50% or more", "its failure rate"},
		breaker.SlowCalls:           {"a share of slow calls of 80% or more", "its share of slow calls"},
		breaker.FailedProbe:         {"a failed probe", "a failed probe"},
		breaker.SlowProbe:           {"a slow probe", "a slow probe"},
		breaker.RecoveryTimeout:     {"the end of its recovery timeout", "the end of its recovery timeout"},
		breaker.ProbesSucceeded:     {"successful probes", "successful probes"},
		breaker.Operator:            {"an operator", "an operator"},
		breaker.Operator + 1:        {"", ""}, // an unknown cause
	} {
		full := adminapi.Breaker{Cause: new(cause.String()), FailureThreshold: 5, FailureRateThreshold: new(0.5), SlowCallsThreshold: new(0.8)}
		bare := adminapi.Breaker{Cause: new(cause.String()), FailureThreshold: 1}
		if got := [2]string{causeOf(&full), causeOf(&bare)}; got != want {
			t.Errorf("%v: got %q, want %q", cause, got, want)
		}
	}
}

func TestNumbers(t *testing.T) {
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
		{perSecond(0), "0"},
		{perSecond(math.NaN()), "0"},
		{perSecond(0.00421), "0.0042"},
		{perSecond(0.246), "0.25"},
		{perSecond(3.44), "3.4"},
		{perSecond(9.96), "10"},
		{perSecond(123.4), "123"},
		{perSecond(48_211.9), "48212"},
		{limitOf(&adminapi.RateLimit{Window: 3600}, 0.083), "5/h"},
		{limitOf(&adminapi.RateLimit{Window: 10}, 96), "16/10s"},
		{limitOf(&adminapi.RateLimit{Window: 0.5}, 6000), "50/500ms"},
		{limitOf(&adminapi.RateLimit{Window: 86400}, 0.694), "999/day"},
		{limitOf(&adminapi.RateLimit{Window: 1}, 600), "10/s"},
		{limitOf(&adminapi.RateLimit{}, 100), "100/min"},
	} {
		if test.got != test.want {
			t.Errorf("got %s, want %s", test.got, test.want)
		}
	}
}
