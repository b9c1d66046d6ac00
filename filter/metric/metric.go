// Package metric is the table of Weir's metrics: their names and labels, written once for the filter that counts, the
// admin API that reads, and the bootstrap's stats_tags that turn names into labels.
//
//	RequestsTotal.With("aws", "allowed")    weir_requests_total_cluster_=aws;_decision_=allowed;
//	in /stats/prometheus                    weir_requests_total{cluster="aws",decision="allowed"}
//
// A Wasm metric has no labels of its own, so the labels are part of the name that Envoy keeps.
package metric

// Metric is one metric: its name and the names of its labels.
type Metric struct {
	Name   string
	labels []string
}

// The counters.
var (
	RequestsTotal           = Metric{"weir_requests_total", []string{"cluster", "decision"}}
	ResponsesTotal          = Metric{"weir_responses_total", []string{"cluster", "source"}}
	BreakerTransitionsTotal = Metric{"weir_breaker_transitions_total", []string{"cluster", "to"}}
	UpstreamFailuresTotal   = Metric{"weir_upstream_failures_total", []string{"cluster"}}
	RetriesTotal            = Metric{"weir_retries_total", []string{"cluster"}}
	RetriesExhaustedTotal   = Metric{"weir_retries_exhausted_total", []string{"cluster"}}
	AttemptsUncarriedTotal  = Metric{"weir_attempts_uncarried_total", []string{"cluster", "reason"}}
	FailoversTotal          = Metric{"weir_failovers_total", []string{"cluster", "to"}}
	MisroutedTotal          = Metric{"weir_misrouted_total", []string{"cluster", "to"}}
	PolicyMissingTotal      = Metric{"weir_policy_missing_total", []string{"cluster"}}
	CacheNotKeptTotal       = Metric{"weir_cache_not_kept_total", []string{"cluster", "reason"}}
	CacheNotUsedTotal       = Metric{"weir_cache_not_used_total", []string{"cluster", "reason"}}
	RedisCallsTotal         = Metric{"weir_redis_calls_total", []string{"result"}}
	LeasesTotal             = Metric{"weir_leases_total", []string{"result"}}
	StateConflictsTotal     = Metric{"weir_state_conflicts_total", nil}
	FaultsTotal             = Metric{"weir_faults_total", nil}
)

// The gauges. Envoy's gauges are whole numbers: weir_success_ratio counts ten-thousandths.
var (
	BuildInfo               = Metric{"weir_build_info", []string{"version"}}
	PolicyVersion           = Metric{"weir_policy_version", nil}
	PolicyTime              = Metric{"weir_policy_time_ms", nil}
	PolicyUnmatchedPatterns = Metric{"weir_policy_unmatched_patterns", nil}
	PolicyRefusedAt         = Metric{"weir_policy_refused_time_ms", nil}
	Mode                    = Metric{"weir_mode", []string{"cluster"}}
	BreakerState            = Metric{"weir_breaker_state", []string{"cluster"}}
	InFlight                = Metric{"weir_in_flight", []string{"cluster"}}
	RateLimitCurrent        = Metric{"weir_rate_limit_current", []string{"cluster"}}
	RateLimitKeyed          = Metric{"weir_rate_limit_keyed", []string{"cluster"}}
	RateLimitMesh           = Metric{"weir_rate_limit_mesh", []string{"cluster"}}
	SuccessRatio            = Metric{"weir_success_ratio", []string{"cluster"}}
	NoHealthyHost           = Metric{"weir_no_healthy_host", []string{"cluster"}}
	RecordVersion           = Metric{"weir_record_version", []string{"cluster"}}
	BulkheadPlaces          = Metric{"weir_bulkhead_places", []string{"cluster", "worker"}}
)

// The histograms.
var (
	RedisLatency = Metric{"weir_redis_latency_ms", nil}
)

// Labels are the names of all labels in the table, each once. The bootstrap needs a stats_tags rule for each.
var Labels = [...]string{"cluster", "decision", "source", "to", "reason", "result", "version", "worker"}

// With names the series that has these label values, one for each label in the table's order. Values beyond the labels are
// dropped, and labels beyond the values are left out. In the values a `;`, which ends one in the name, a `_=`, which begins
// one, and control characters, by which Envoy's /stats would have another line, become `_`.
func (m *Metric) With(values ...string) string {
	size := len(m.Name)
	for i, value := range values[:min(len(values), len(m.labels))] {
		size += len(m.labels[i]) + len(value) + 4
	}
	b := make([]byte, 0, size)
	b = append(b, m.Name...)
	for i, value := range values[:min(len(values), len(m.labels))] {
		b = append(b, '_')
		b = append(b, m.labels[i]...)
		b = append(b, "_="...)
		b = appendValue(b, value)
		b = append(b, ';')
	}
	return string(b)
}

func appendValue(b []byte, value string) []byte {
	for i := range len(value) {
		c := value[i]
		if c < ' ' || c == 0x7f || c == ';' || c == '=' && i > 0 && value[i-1] == '_' {
			c = '_'
		}
		b = append(b, c)
	}
	return b
}
