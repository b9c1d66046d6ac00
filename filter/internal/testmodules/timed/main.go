// Command timed is Weir's filter for the benchmark that times what counting and publishing cost. It wraps the product's
// contexts and reports to counters of its own, in nanoseconds of the machine's clock:
//
//	weir_timed_counted_ns_total  the time of two more counts at each response, like those of a request's decision and
//	                             its response's source, less the time of reading the clock
//	weir_timed_requests_total    the number of these responses
//	weir_timed_told_ns_total     the time of OnTick: it sends counts to Envoy's counters, sets gauges, publishes to the
//	                             registry, and so on
//	weir_timed_told_total        the number of these ticks
//
// e2e/bench's BenchmarkPublishing reads them.
package main

import (
	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/observe"
	"github.com/weir-mesh/weir/filter/internal/plugin"
)

func init() { host.Register(&timedVM{VM: plugin.NewVM()}) }

func main() {}

type timedVM struct{ *plugin.VM }

// NewPluginContext implements host.VMContext.
func (v *timedVM) NewPluginContext(id uint32) host.PluginContext {
	inner := v.VM.NewPluginContext(id).(*plugin.Plugin)
	return &timedPlugin{PluginContext: inner, inner: inner}
}

type timedPlugin struct {
	host.PluginContext
	inner                          *plugin.Plugin
	counted, requests, told, times host.Counter
	more                           [2]*observe.BatchedCounter
	pendingNS, pendingRequests     int64 // not passed on to the counters yet
}

// OnPluginStart implements host.PluginContext.
func (p *timedPlugin) OnPluginStart(size int) host.StartStatus {
	var more [2]host.Counter
	for _, c := range []struct {
		counter *host.Counter
		name    string
	}{
		{&p.counted, "weir_timed_counted_ns_total"},
		{&p.requests, "weir_timed_requests_total"},
		{&p.told, "weir_timed_told_ns_total"},
		{&p.times, "weir_timed_told_total"},
		{&more[0], "weir_timed_more_decisions"},
		{&more[1], "weir_timed_more_answers"},
	} {
		counter, err := host.DefineCounter(c.name)
		if err != nil {
			host.Error("timed: " + err.Error())
			return host.StartFailed
		}
		*c.counter = counter
	}
	for i := range more {
		p.more[i] = observe.NewBatchedCounter(more[i])
	}
	return p.PluginContext.OnPluginStart(size)
}

// OnTick implements host.PluginContext.
func (p *timedPlugin) OnTick() {
	start := host.Now()
	p.PluginContext.OnTick()
	p.told.Add(uint64(host.Now() - start))
	p.times.Add(1)
	p.counted.Add(uint64(max(p.pendingNS, 0)))
	p.requests.Add(uint64(p.pendingRequests))
	p.pendingNS, p.pendingRequests = 0, 0
}

// NewHTTPContext implements host.PluginContext.
func (p *timedPlugin) NewHTTPContext(id uint32) host.HTTPContext {
	return &timedStream{HTTPContext: p.PluginContext.NewHTTPContext(id), plugin: p}
}

type timedStream struct {
	host.HTTPContext
	plugin *timedPlugin
}

// OnHTTPResponseHeaders implements host.HTTPContext.
func (s *timedStream) OnHTTPResponseHeaders(n int, ended bool) host.Action {
	action := s.HTTPContext.OnHTTPResponseHeaders(n, ended)
	before := host.Now()
	start := host.Now()
	s.plugin.inner.Count(s.plugin.more[0])
	s.plugin.inner.Count(s.plugin.more[1])
	s.plugin.pendingNS += (host.Now() - start) - (start - before)
	s.plugin.pendingRequests++
	return action
}
