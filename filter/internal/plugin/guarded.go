//go:build !tinygo

package plugin

import (
	"fmt"

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

// OnHttpRequestHeaders implements host.HTTPContext.
func (g *guarded) OnHttpRequestHeaders(n int, ended bool) (action host.Action) {
	defer g.rescue(&action)
	return g.stream.OnHttpRequestHeaders(n, ended)
}

// OnHttpRequestBody implements host.HTTPContext.
func (g *guarded) OnHttpRequestBody(size int, ended bool) (action host.Action) {
	defer g.rescue(&action)
	return g.stream.OnHttpRequestBody(size, ended)
}

// OnHttpRequestTrailers implements host.HTTPContext.
func (g *guarded) OnHttpRequestTrailers(n int) (action host.Action) {
	defer g.rescue(&action)
	return g.stream.OnHttpRequestTrailers(n)
}

// OnHttpResponseHeaders implements host.HTTPContext.
func (g *guarded) OnHttpResponseHeaders(n int, ended bool) (action host.Action) {
	defer g.rescue(&action)
	return g.stream.OnHttpResponseHeaders(n, ended)
}

// OnHttpResponseBody implements host.HTTPContext.
func (g *guarded) OnHttpResponseBody(size int, ended bool) (action host.Action) {
	defer g.rescue(&action)
	return g.stream.OnHttpResponseBody(size, ended)
}

// OnHttpResponseTrailers implements host.HTTPContext.
func (g *guarded) OnHttpResponseTrailers(n int) (action host.Action) {
	defer g.rescue(&action)
	return g.stream.OnHttpResponseTrailers(n)
}

// OnHttpStreamDone implements host.HTTPContext.
func (g *guarded) OnHttpStreamDone() {
	var action host.Action
	defer g.rescue(&action)
	g.stream.OnHttpStreamDone()
}

// rescue turns a panic into a counted fault, and the request passes.
func (g *guarded) rescue(action *host.Action) {
	if r := recover(); r != nil {
		s := g.stream
		s.request.Forget()
		s.recording.Drop()
		s.plugin.observe.Faults.Report(fmt.Sprint(r))
		*action = host.Continue
	}
}
