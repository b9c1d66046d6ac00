package observe

import (
	"github.com/weir-mesh/weir/filter/internal/admin"
	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// AdminMetrics are Envoy's metrics as the admin API reads them. They implement admin.Metrics.
type AdminMetrics struct{ *Metrics }

// Counter implements admin.Metrics.
func (m AdminMetrics) Counter(name string) admin.Metric { return m.Metrics.Counter(name) }

// Gauge implements admin.Metrics.
func (m AdminMetrics) Gauge(name string) admin.Metric { return m.Metrics.Gauge(name) }

// Audit logs what operators do, and counts the transitions of breakers that follow. It implements admin.AuditLog.
type Audit struct {
	Store   sharedstate.Store
	Metrics *Metrics
	Faults  *Faults
}

// Transition implements admin.AuditLog, as Cluster does for the transitions that requests cause.
func (a Audit) Transition(cluster string, from, to breaker.Status) {
	counter := a.Metrics.Counter(metric.BreakerTransitionsTotal.With(cluster, to.String()))
	counter.Add(1)
	gauge := a.Metrics.Gauge(metric.BreakerState.With(cluster))
	gauge.Set(uint64(to))
	a.Faults.changed(a.Store, registry.Change{From: from, To: to, Cluster: cluster, Cause: breaker.Operator.String()})
}

// Action implements admin.AuditLog.
func (a Audit) Action(cluster, what string) {
	host.Info("weir: " + cluster + ": " + what + ", by an operator")
}

// Error implements admin.AuditLog.
func (a Audit) Error(err error) { a.Faults.Log("the admin interface answers 500: " + err.Error()) }
