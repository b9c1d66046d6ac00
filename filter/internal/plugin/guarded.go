//go:build !tinygo

package plugin

import (
	"github.com/weir-mesh/weir/filter/internal/host"
)

// guarded is a stream whose panics become counted faults: the request passes. It implements host.HTTPContext. (TinyGo has
// no recover: there Envoy makes a new VM, by failure_policy: FAIL_RELOAD. What `defer` needs is allocated there, and would
// cost each request a share of a garbage collection.)
type guarded struct {
	host.DefaultHTTPContext
	stream *stream
}

// guard is what the host calls for a stream.
func guard(s *stream) host.HTTPContext { return &guarded{stream: s} }

// OnHTTPRequestHeaders implements host.HTTPContext.
func (g *guarded) OnHTTPRequestHeaders(n int, ended bool) (action host.Action) {
	defer g.rescue(&action)
	return g.stream.OnHTTPRequestHeaders(n, ended)
}

// OnHTTPRequestBody implements host.HTTPContext.
func (g *guarded) OnHTTPRequestBody(size int, ended bool) (action host.Action) {
	defer g.rescue(&action)
	return g.stream.OnHTTPRequestBody(size, ended)
}

// OnHTTPRequestTrailers implements host.HTTPContext.
func (g *guarded) OnHTTPRequestTrailers(n int) (action host.Action) {
	defer g.rescue(&action)
	return g.stream.OnHTTPRequestTrailers(n)
}

// OnHTTPResponseHeaders implements host.HTTPContext.
func (g *guarded) OnHTTPResponseHeaders(n int, ended bool) (action host.Action) {
	defer g.rescue(&action)
	return g.stream.OnHTTPResponseHeaders(n, ended)
}

// OnHTTPResponseBody implements host.HTTPContext.
func (g *guarded) OnHTTPResponseBody(size int, ended bool) (action host.Action) {
	defer g.rescue(&action)
	return g.stream.OnHTTPResponseBody(size, ended)
}

// OnHTTPResponseTrailers implements host.HTTPContext.
func (g *guarded) OnHTTPResponseTrailers(n int) (action host.Action) {
	defer g.rescue(&action)
	return g.stream.OnHTTPResponseTrailers(n)
}

// OnHTTPStreamDone implements host.HTTPContext.
func (g *guarded) OnHTTPStreamDone() {
	var action host.Action
	defer g.rescue(&action)
	g.stream.OnHTTPStreamDone()
}

// rescue turns a panic into a counted fault, and the request passes.
func (g *guarded) rescue(action *host.Action) {
	if r := recover(); r != nil {
		s := g.stream
		s.request.Forget()
		s.recording.Drop()
		s.plugin.observe.Faults.Report(panicText(r))
		*action = host.Continue
	}
}
