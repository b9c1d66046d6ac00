//go:build weirtimed

package main

import "github.com/weir-mesh/weir/filter/host"

// The benchmark's build of the filter, which times what telling about requests costs: `-tags=weirtimed`. No product has
// this file. It stands around the filter's contexts, as weircrash.go does, and reports to counters of its own, in
// nanoseconds of the machine's clock:
//
//	weir_timed_counted_ns_total  two more counts at each answer, as a request's decision and its answer's source are, between
//	                             two readings of the clock; what a reading itself takes is measured beside it and taken off
//	weir_timed_requests_total    how many answers that were
//	weir_timed_told_ns_total     all of OnTick: what was counted is handed on to Envoy's counters, the gauges, what is published for
//	                             the admins, and whatever else it does
//	weir_timed_told_total        how often that was
//
// e2e/bench's BenchmarkPublishing reads them.

// Behind main.go's, as weircrash.go's is.
func init() { host.Register(&timedVM{}) }

type timedVM struct{ vm }

// NewPluginContext implements host.VMContext.
func (v *timedVM) NewPluginContext(id uint32) host.PluginContext {
	inner := v.vm.NewPluginContext(id).(*plugin)
	return &timedPlugin{PluginContext: inner, inner: inner}
}

type timedPlugin struct {
	host.PluginContext
	inner                          *plugin
	counted, requests, told, times host.Counter
	more                           [2]tally
	pendingNS, pendingRequests     int64 // that the counters have not been given yet
}

// OnPluginStart implements host.PluginContext.
func (p *timedPlugin) OnPluginStart(size int) host.StartStatus {
	for _, c := range []struct {
		counter *host.Counter
		name    string
	}{
		{&p.counted, "weir_timed_counted_ns_total"},
		{&p.requests, "weir_timed_requests_total"},
		{&p.told, "weir_timed_told_ns_total"},
		{&p.times, "weir_timed_told_total"},
		{&p.more[0].counter, "weir_timed_more_decisions"},
		{&p.more[1].counter, "weir_timed_more_answers"},
	} {
		counter, err := host.DefineCounter(c.name)
		if err != nil {
			host.Error("weirtimed: " + err.Error())
			return host.StartFailed
		}
		*c.counter = counter
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

// NewHttpContext implements host.PluginContext.
func (p *timedPlugin) NewHttpContext(id uint32) host.HTTPContext {
	return &timedStream{HTTPContext: p.PluginContext.NewHttpContext(id), plugin: p}
}

type timedStream struct {
	host.HTTPContext
	plugin *timedPlugin
}

// OnHttpResponseHeaders implements host.HTTPContext.
func (s *timedStream) OnHttpResponseHeaders(n int, ended bool) host.Action {
	action := s.HTTPContext.OnHttpResponseHeaders(n, ended)
	before := host.Now()
	start := host.Now()
	s.plugin.inner.count(&s.plugin.more[0])
	s.plugin.inner.count(&s.plugin.more[1])
	s.plugin.pendingNS += (host.Now() - start) - (start - before)
	s.plugin.pendingRequests++
	return action
}
