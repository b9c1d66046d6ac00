//go:build weircrash

package main

import (
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/filter/host"
)

// The tests' build of the filter, whose VM can be made to crash: `-tags=weircrash`. No product has this file. It stands
// around the filter's contexts and changes nothing in them, so that what crashes is what users run.
//
//	weir-test-crash: request    a request with this header crashes the VM before the filter saw it
//	weir-test-crash: response   … when upstream has answered it, and the filter still holds what it took for it
//
// Each answer that the filter saw has a header weir-test-vm that tells which VM it came from.

// main.go registers the filter in an init function too, and this one has to be later: Go runs them in the order of the
// files' names.
func init() { host.Register(&crashingVM{id: strconv.FormatUint(rand.Uint64(), 36)}) }

type crashingVM struct {
	vm
	id string
}

// NewPluginContext implements host.VMContext.
func (v *crashingVM) NewPluginContext(id uint32) host.PluginContext {
	return &crashingPlugin{v.vm.NewPluginContext(id), v.id}
}

type crashingPlugin struct {
	host.PluginContext
	vm string
}

// NewHttpContext implements host.PluginContext.
func (p *crashingPlugin) NewHttpContext(id uint32) host.HTTPContext {
	return &crashingStream{HTTPContext: p.PluginContext.NewHttpContext(id), vm: p.vm}
}

type crashingStream struct {
	host.HTTPContext
	vm   string
	when string
}

// OnHttpRequestHeaders implements host.HTTPContext.
func (s *crashingStream) OnHttpRequestHeaders(n int, ended bool) host.Action {
	when, _ := host.Header(host.RequestHeaders, "weir-test-crash") // most requests have none
	s.when = strings.Clone(when)                                   // which the host's memory will not be
	s.crash("request")
	return s.HTTPContext.OnHttpRequestHeaders(n, ended)
}

// OnHttpResponseHeaders implements host.HTTPContext.
func (s *crashingStream) OnHttpResponseHeaders(n int, ended bool) host.Action {
	if details, err := host.Property(host.ResponseCodeDetails); err == nil && string(details) == "via_upstream" {
		s.crash("response")
	}
	if err := host.AddHeader(host.ResponseHeaders, "weir-test-vm", s.vm); err != nil {
		host.Error("weircrash: " + err.Error())
	}
	return s.HTTPContext.OnHttpResponseHeaders(n, ended)
}

// crash panics outside of the filter's rescue, which Go's runtime ends with a trap: what a fault of the runtime itself,
// such as memory that has run out, comes to.
func (s *crashingStream) crash(now string) {
	if s.when == now {
		panic("weir-test-crash: " + now)
	}
}
