package metric

import (
	"slices"
	"testing"
)

func TestWith(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{FaultsTotal.With(), "weir_faults_total"},
		{RetriesTotal.With("aws"), "weir_retries_total_cluster_=aws;"},
		{RequestsTotal.With("a;b", "allowed"), "weir_requests_total_cluster_=a_b;_decision_=allowed;"},
		{RequestsTotal.With("a;_decision_=allowed;=b_c=d\n\x7f", "x"), "weir_requests_total_cluster_=a__decision__allowed_=b_c=d__;_decision_=x;"},
		{RequestsTotal.With("a"), "weir_requests_total_cluster_=a;"},
		{RetriesTotal.With("a", "more"), "weir_retries_total_cluster_=a;"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %s, want %s", tc.got, tc.want)
		}
	}
}

func TestLabelsHasEachLabelOfTheTable(t *testing.T) {
	for _, m := range []Metric{
		RequestsTotal, ResponsesTotal, BreakerTransitionsTotal, RetriesTotal, RetriesExhaustedTotal, AttemptsUncarriedTotal, FailoversTotal, MisroutedTotal,
		CacheNotKeptTotal, CacheNotUsedTotal,
		RedisCallsTotal, LeasesTotal, StateConflictsTotal, FaultsTotal,
		BuildInfo, PolicyRefusedAt, Mode, BreakerState, InFlight, RateLimitCurrent, RateLimitKeyed, RateLimitMesh, SuccessRatio, NoHealthyHost, RedisLatency,
	} {
		for _, label := range m.labels {
			if !slices.Contains(Labels[:], label) {
				t.Errorf("got Labels %v, want %s among them, a label of %s", Labels, label, m.Name)
			}
		}
	}
}
