package render

import (
	metricsv3 "github.com/envoyproxy/go-control-plane/envoy/config/metrics/v3"

	"github.com/weir-mesh/weir/filter/metric"
)

// StatsConfig has one rule for each label of Weir's metrics. The filter writes labels into a metric's name,
// `weir_requests_total_cluster_=aws;_decision_=allowed;`. By these rules Envoy takes them out again, and
// `/stats/prometheus` shows weir_requests_total{cluster="aws",decision="allowed"}.
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/metrics/v3/stats.proto#config-metrics-v3-tagspecifier
func StatsConfig() *metricsv3.StatsConfig {
	config := &metricsv3.StatsConfig{}
	for _, tag := range metric.Labels {
		config.StatsTags = append(config.StatsTags, &metricsv3.TagSpecifier{
			TagName: tag,
			// The first group is cut from the name, the second is the label's value.
			TagValue: &metricsv3.TagSpecifier_Regex{Regex: "(_" + tag + "_=([^;]*);)"},
		})
	}
	return config
}
