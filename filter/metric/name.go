// Package metric names Weir's metrics in the form that Envoy's stats_tags take the labels out of again.
package metric

import "strings"

// Name is a metric with labels, each a name and its value:
//
//	weir_requests_total_cluster_=aws;_decision_=allowed;    weir_requests_total{cluster="aws",decision="allowed"}
//
// What ends a label is kept out of the values.
func Name(metric string, labels ...[2]string) string {
	var b strings.Builder
	b.WriteString(metric)
	for _, l := range labels {
		b.WriteString("_")
		b.WriteString(l[0])
		b.WriteString("_=")
		b.WriteString(strings.ReplaceAll(l[1], ";", "_"))
		b.WriteString(";")
	}
	return b.String()
}

// Of is a metric of one cluster, with further labels.
func Of(metric, cluster string, labels ...[2]string) string {
	return Name(metric, append([][2]string{{"cluster", cluster}}, labels...)...)
}
