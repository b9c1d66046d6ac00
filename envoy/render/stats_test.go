package render

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Applies the tags as Envoy does: the first group is cut from the name, the second is the value.
func TestStatsTags(t *testing.T) {
	for name, want := range map[string]string{
		"weir_requests_total_cluster_=aws;_decision_=allowed;":        "weir_requests_total{cluster=aws,decision=allowed}",
		"weir_requests_total_cluster_=aws;_decision_=shadow_x;":       "weir_requests_total{cluster=aws,decision=shadow_x}",
		"weir_responses_total_cluster_=a.b|80||c;_source_=cache;":     "weir_responses_total{cluster=a.b|80||c,source=cache}",
		"weir_breaker_state_cluster_=aws;":                            "weir_breaker_state{cluster=aws}",
		"weir_breaker_transitions_total_cluster_=aws;_to_=half_open;": "weir_breaker_transitions_total{cluster=aws,to=half_open}",
		"weir_rate_limit_current_cluster_=aws;":                       "weir_rate_limit_current{cluster=aws}",
		"weir_success_ratio_cluster_=aws;":                            "weir_success_ratio{cluster=aws}",
		"weir_retries_total_cluster_=aws;":                            "weir_retries_total{cluster=aws}",
		"weir_retries_exhausted_total_cluster_=aws;":                  "weir_retries_exhausted_total{cluster=aws}",
		"weir_in_flight_cluster_=aws;":                                "weir_in_flight{cluster=aws}",
		"weir_no_healthy_host_cluster_=aws;":                          "weir_no_healthy_host{cluster=aws}",
		"weir_failovers_total_cluster_=aws;_to_=aws_eu;":              "weir_failovers_total{cluster=aws,to=aws_eu}",
		"weir_misrouted_total_cluster_=free;_to_=gold;":               "weir_misrouted_total{cluster=free,to=gold}",
		"weir_cache_not_kept_total_cluster_=aws;_reason_=set_cookie;": "weir_cache_not_kept_total{cluster=aws,reason=set_cookie}",
		"weir_redis_calls_total_result_=ok;":                          "weir_redis_calls_total{result=ok}",
		"weir_leases_total_result_=late;":                             "weir_leases_total{result=late}",
		"weir_redis_latency_ms":                                       "weir_redis_latency_ms{}",
		"weir_state_conflicts_total":                                  "weir_state_conflicts_total{}",
		"weir_faults_total":                                           "weir_faults_total{}",
		// Envoy's own metrics, and those of clusters and listeners whose names look like a label.
		"cluster.aws.upstream_rq_total":                "cluster.aws.upstream_rq_total{}",
		"cluster.my_cluster_a.upstream_rq_total":       "cluster.my_cluster_a.upstream_rq_total{}",
		"cluster.to_source_decision_result.rq_2xx":     "cluster.to_source_decision_result.rq_2xx{}",
		"http.weir.downstream_rq_total":                "http.weir.downstream_rq_total{}",
		"vhost.aws.vcluster.other.upstream_rq_retry":   "vhost.aws.vcluster.other.upstream_rq_retry{}",
		"wasm.envoy.wasm.runtime.v8.active":            "wasm.envoy.wasm.runtime.v8.active{}",
		"listener.127.0.0.1_10000.downstream_cx_total": "listener.127.0.0.1_10000.downstream_cx_total{}",
	} {
		left := name
		var labels []string
		for _, tag := range StatsConfig().GetStatsTags() {
			match := regexp.MustCompile(tag.GetRegex()).FindStringSubmatch(name)
			if match == nil {
				continue
			}
			left = strings.Replace(left, match[1], "", 1)
			labels = append(labels, tag.GetTagName()+"="+match[2])
		}
		slices.Sort(labels)
		if got := left + "{" + strings.Join(labels, ",") + "}"; got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}
