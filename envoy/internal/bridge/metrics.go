package bridge

import (
	"fmt"
	"net/http"
	"sync/atomic"
)

// counts are what /metrics shows.
type counts struct {
	commands atomic.Int64
	statuses [6]atomic.Int64 // by status class
}

func (c *counts) answered(status int) { c.statuses[status/100].Add(1) }

// serveMetrics writes Prometheus's text format.
// https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
func (b *Bridge) serveMetrics(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	fmt.Fprintln(w, "# TYPE weir_bridge_requests_total counter")
	for _, class := range []int{2, 4, 5} {
		fmt.Fprintf(w, "weir_bridge_requests_total{status=\"%dxx\"} %d\n", class, b.counts.statuses[class].Load())
	}
	fmt.Fprintf(w, "# TYPE weir_bridge_commands_total counter\nweir_bridge_commands_total %d\n", b.counts.commands.Load())
	fmt.Fprintf(w, "# TYPE weir_bridge_requests_in_flight gauge\nweir_bridge_requests_in_flight %d\n", len(b.slots))
	fmt.Fprintf(w, "# TYPE weir_bridge_connections gauge\nweir_bridge_connections %d\n", len(b.listener.open))
	fmt.Fprintf(w, "# TYPE weir_bridge_connections_refused_total counter\nweir_bridge_connections_refused_total %d\n", b.listener.refused.Load())
	pool := b.client.PoolStats()
	fmt.Fprintf(w, "# TYPE weir_bridge_redis_connections gauge\nweir_bridge_redis_connections %d\n", pool.TotalConns)
	up := 1
	if b.availability.down.Load() {
		up = 0
	}
	fmt.Fprintf(w, "# TYPE weir_bridge_redis_up gauge\nweir_bridge_redis_up %d\n", up)
}
