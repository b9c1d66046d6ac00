package observe

import (
	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/metric"
)

// Faults counts and logs the filter's own failures, of all clusters.
type Faults struct {
	total     host.Counter
	conflicts host.Counter
	logged    throttle
}

// NewFaults counts in these metrics.
func NewFaults(m *Metrics) *Faults {
	return &Faults{
		total:     m.Counter(metric.FaultsTotal.With()),
		conflicts: m.Counter(metric.StateConflictsTotal.With()),
	}
}

// Report counts a fault that lets a request pass without its policy, and logs it at most once a second.
func (f *Faults) Report(err string) { f.Log(err + "; the request passes") }

// Log counts a fault and logs this text, at most once a second.
func (f *Faults) Log(text string) {
	f.total.Add(1)
	if f.logged.allow(host.Now()) {
		host.Error("weir: fault: " + text)
	}
}
