package outcome

import (
	"testing"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
)

func TestOutcomeAndFallback(t *testing.T) {
	defaults := policy.DefaultFailures()
	only4xx := policy.Failures{}
	only4xx.Statuses.AddClass(4)
	for _, tc := range []struct {
		details  string
		status   int
		grpc     int
		late     bool
		failures *policy.Failures
		event    Event
		want     breaker.Outcome
		fallback bool
	}{
		{DetailsUpstream, 200, NoGRPC, false, &defaults, Answered, breaker.Success, false},
		{DetailsUpstream, 503, NoGRPC, false, &defaults, Answered, breaker.Failure, true},
		{DetailsUpstream, 404, NoGRPC, false, &defaults, Answered, breaker.Success, false},
		{DetailsUpstream, 404, NoGRPC, false, &only4xx, Answered, breaker.Failure, true},
		{DetailsUpstream, 503, NoGRPC, false, &only4xx, Answered, breaker.Success, false},
		{DetailsUpstream, 200, 14, false, &defaults, Answered, breaker.Failure, true},
		{DetailsUpstream, 200, 5, false, &defaults, Answered, breaker.Success, false},
		{DetailsUpstream, 200, 99, false, &defaults, Answered, breaker.Success, false},
		{DetailsUpstream, 200, NoGRPC, true, &defaults, Answered, breaker.Failure, false},
		{DetailsUpstream, 200, NoGRPC, true, &only4xx, Answered, breaker.Success, false},
		{DetailsResetBefore + "{connection_termination}", 503, NoGRPC, false, &defaults, Reset, breaker.Failure, true},
		{DetailsResetBefore + "{connection_termination}", 503, NoGRPC, false, &only4xx, Reset, breaker.Neither, false},
		{
			DetailsResetBefore + "{remote_connection_failure|delayed_connect_error:_111}", 503, NoGRPC, false, &defaults,
			ConnectFailure, breaker.Failure, true,
		},
		{DetailsResetBefore + "{connection_timeout}", 503, NoGRPC, false, &defaults, ConnectFailure, breaker.Failure, true},
		{DetailsResetBefore + "{overflow}", 503, NoGRPC, false, &defaults, Overflow, breaker.Neither, true},
		{DetailsResetAfter + "{protocol_error}", 200, NoGRPC, false, &defaults, Reset, breaker.Failure, true},
		{DetailsUnkept, 507, NoGRPC, false, &defaults, Overflow, breaker.Neither, true},
		{DetailsNoHealthyHost, 503, NoGRPC, false, &defaults, ConnectFailure, breaker.Failure, true},
		{DetailsTimeout, 504, NoGRPC, false, &defaults, Timeout, breaker.Failure, true},
		{"upstream_per_try_timeout", 504, NoGRPC, false, &defaults, Timeout, breaker.Failure, true},
		{"downstream_remote_disconnect", 0, NoGRPC, false, &defaults, None, breaker.Neither, false},
		{"", 0, NoGRPC, false, &defaults, None, breaker.Neither, false},
		{"ext_authz_denied", 403, NoGRPC, false, &defaults, Local, breaker.Neither, false},
		{"direct_response", 503, NoGRPC, false, &defaults, Local, breaker.Neither, false},
	} {
		event := Ended(tc.details, Whole)
		e := Ending{Event: event, Status: tc.status, GRPC: tc.grpc, Late: tc.late}
		got, fallback := e.Outcome(tc.failures), e.WantsFallback(tc.failures)
		if event != tc.event || got != tc.want || fallback != tc.fallback {
			t.Errorf("%q %d grpc %d late %v: got event %d, outcome %d, fallback %v; want %d, %d, %v",
				tc.details, tc.status, tc.grpc, tc.late, event, got, fallback, tc.event, tc.want, tc.fallback)
		}
	}
}
