// Package observe writes Weir's metrics, by the names of package metric, and its log lines.
//
//	request.Observer  ◄── Cluster        publish.Gauges ◄── Gauges
//	mesh.Observer     ◄── Redis          anything       ──► Faults.Report: weir_faults_total, once a second a log line
package observe

import (
	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/sharedstate"
)

// Metrics are the metrics that a VM has defined, by name. Envoy keeps an id for each definition until the VM ends, so a
// metric is defined once and not with each reload: with 1,000 clusters that would cost each worker 0.6 MB a reload.
type Metrics struct {
	counters   map[string]host.Counter
	gauges     map[string]host.Gauge
	histograms map[string]host.Histogram
	failed     bool // a metric could not be defined, and that was logged
}

// Counter finds or defines a counter. One that can't be defined counts nothing, which is logged once; requests are not
// affected.
func (m *Metrics) Counter(name string) host.Counter {
	return define(m, &m.counters, name, host.DefineCounter)
}

// Gauge finds or defines a gauge.
func (m *Metrics) Gauge(name string) host.Gauge {
	return define(m, &m.gauges, name, host.DefineGauge)
}

// ShownGauge finds a gauge that this VM has defined before.
func (m *Metrics) ShownGauge(name string) (g host.Gauge, ok bool) {
	g, ok = m.gauges[name]
	return g, ok
}

// Histogram finds or defines a histogram.
func (m *Metrics) Histogram(name string) host.Histogram {
	return define(m, &m.histograms, name, host.DefineHistogram)
}

// define finds a metric or defines it. One that failed is tried again the next time.
func define[M any](m *Metrics, known *map[string]M, name string, define func(string) (M, error)) M {
	if metric, ok := (*known)[name]; ok {
		return metric
	}
	metric, err := define(name)
	if err != nil {
		if !m.failed {
			m.failed = true
			host.Error("weir: metrics are missing: " + err.Error())
		}
		return metric
	}
	if *known == nil {
		*known = map[string]M{}
	}
	(*known)[name] = metric
	return metric
}

// logInterval is the shortest time between two log lines of one kind, in nanoseconds: what fails for one request fails
// for all.
const logInterval = 1e9

// throttle limits the log lines of one worker to one an interval. The zero throttle allows the first line.
type throttle struct{ last int64 }

func (t *throttle) allow(now int64) bool {
	if t.last != 0 && now-t.last < logInterval {
		return false
	}
	t.last = now
	return true
}

// allowForAll limits the lines that all workers log together to one an interval. What names the kind of line.
func allowForAll(store sharedstate.Store, what string, now int64) bool {
	return sharedstate.AllowLog(store, what, logInterval, now)
}
