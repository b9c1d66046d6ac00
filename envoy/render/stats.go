package render

import (
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"
)

// statsTags are the labels of Weir's metrics. The filter writes them into a metric's name, since a Wasm metric has no
// labels: `weir_requests_total_cluster_=aws;_decision_=allowed;`. Envoy extracts them by these rules, besides its
// default ones.
var statsTags = [...]string{"cluster", "decision", "source", "to", "result"}

// statsConfig makes `/stats/prometheus` show weir_requests_total{cluster="aws",decision="allowed"}.
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/metrics/v3/stats.proto#config-metrics-v3-tagspecifier
func statsConfig() *metricsv3.StatsConfig {
	config := &metricsv3.StatsConfig{}
	for _, tag := range statsTags {
		config.StatsTags = append(config.StatsTags, &metricsv3.TagSpecifier{
			TagName: tag,
			// The first group is cut from the name, the second is the label's value.
			TagValue: &metricsv3.TagSpecifier_Regex{Regex: "(_" + tag + "_=([^;]*);)"},
		})
	}
	return config
}
