package main

import (
	"fmt"

	"github.com/weir-mesh/weir/filter/host"
	"github.com/weir-mesh/weir/filter/internal/admin"
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy/breaker"
)

// The module on the admin listener: an instance of the filter whose document is `{"admin": {}}`.

func newAdminHandler(seed [2]uint64, hosts []string, f *faults) *admin.Handler {
	return admin.NewHandler(sharedData{}, seed, hosts, metrics{f}, auditLog{f})
}

// metrics are Envoy's, as the admin API reads them.
type metrics struct{ faults *faults }

// Counter implements admin.Metrics.
func (m metrics) Counter(name string) admin.Metric { return m.faults.counter(name) }

// Gauge implements admin.Metrics.
func (m metrics) Gauge(name string) admin.Metric { return m.faults.gauge(name) }

// auditLog logs what operators do, and counts the breakers' transitions.
type auditLog struct{ faults *faults }

// Transition implements admin.AuditLog, as observer does for transitions by requests.
func (j auditLog) Transition(cluster string, from, to breaker.Status) {
	counter := j.faults.counter(metric.BreakerTransitionsTotal.With(cluster, to.String()))
	counter.Add(1)
	gauge := j.faults.gauge(metric.BreakerState.With(cluster))
	gauge.Set(uint64(to))
	host.Info("weir: " + cluster + ": circuit breaker " + from.String() + " -> " + to.String() + " (" + breaker.Operator.String() + ")")
}

// Action implements admin.AuditLog.
func (j auditLog) Action(cluster, action string) {
	host.Info("weir: " + cluster + ": " + action + ", by an operator")
}

// Error implements admin.AuditLog.
func (j auditLog) Error(err error) { j.faults.say("the admin interface answers 500: " + err.Error()) }

// adminStream is one request to the admin API. It is answered when its headers have come.
type adminStream struct {
	host.DefaultHTTPContext
	plugin *plugin
}

// OnHttpRequestHeaders implements host.HTTPContext.
func (s *adminStream) OnHttpRequestHeaders(_ int, ended bool) (action host.Action) {
	host.ReuseMemory()
	defer func() {
		if r := recover(); r != nil {
			s.plugin.adminHandler = newAdminHandler(s.plugin.worker.Seed(), s.plugin.document.AdminHosts, s.plugin.faults)
			action = s.send(admin.InternalError(fmt.Errorf("%v", r), auditLog{s.plugin.faults}))
		}
	}()
	headers, err := host.All(host.RequestHeaders)
	if err != nil {
		return s.send(admin.InternalError(err, auditLog{s.plugin.faults}))
	}
	return s.send(s.plugin.adminHandler.Handle(request(headers, ended), admin.Instant{Monotonic: host.Now(), Wall: host.WallNano()}))
}

// several is what an Origin or a Sec-Fetch-Site that stands more than once is read as: none is believed, nor is this.
const several = "null"

// request reads what decides about a request. What else stands twice is what its last line says.
func request(headers host.Headers, ended bool) *admin.Request {
	r := &admin.Request{Ended: ended}
	headers.All(func(name, value string) bool {
		switch name {
		case ":method":
			r.Method = value
		case ":path":
			r.Target = value
		case ":authority":
			r.Host = value
		case "origin":
			r.Origin = once(r.Origin, value)
		case "sec-fetch-site":
			r.FetchSite = once(r.FetchSite, value)
		case "content-type":
			r.ContentType = value
		case "content-length":
			r.Length = value
		}
		return true
	})
	return r
}

func once(before, value string) string {
	if before != "" {
		return several
	}
	return value
}

// send answers.
func (s *adminStream) send(a admin.Response) host.Action {
	err := host.SendLocalReply(host.LocalReply{Status: a.Status, Details: "weir_admin", Headers: a.Headers, Body: a.Body, GRPC: -1})
	if err != nil {
		s.plugin.faults.note("admin: " + err.Error())
		return host.Continue // to a route that leads nowhere
	}
	return host.Pause
}
