// Command crash is Weir's filter for tests, with a VM that can be made to crash. It wraps the product's contexts and
// changes nothing in them, so that the product's own code crashes. It is built and finished as the product is.
//
//	weir-test-crash: request    a request with this header crashes the VM before the filter sees it
//	weir-test-crash: response   … when upstream has answered, and the filter still holds what it admitted
//
// Each response that the filter saw has a header weir-test-vm with the number of the VM it came from, and weir-test-mallocs with how
// often the filter's callbacks of streams have allocated memory in that VM so far.
package main

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/plugin"
)

func init() {
	host.Register(&crashingVM{VMContext: plugin.NewVM(), id: strconv.FormatUint(rand.Uint64(), 36)})
}

func main() {}

type crashingVM struct {
	host.VMContext
	id string
}

// NewPluginContext implements host.VMContext.
func (v *crashingVM) NewPluginContext(id uint32) host.PluginContext {
	return &crashingPlugin{v.VMContext.NewPluginContext(id), v.id}
}

type crashingPlugin struct {
	host.PluginContext
	vm string
}

// NewHTTPContext implements host.PluginContext.
func (p *crashingPlugin) NewHTTPContext(id uint32) host.HTTPContext {
	before := mallocs()
	inner := p.PluginContext.NewHTTPContext(id)
	allocated += mallocs() - before
	return &crashingStream{HTTPContext: inner, vm: p.vm}
}

// allocated is how often the filter has allocated memory in the callbacks of streams.
var allocated uint64

func mallocs() uint64 {
	runtime.ReadMemStats(&stats)
	return stats.Mallocs
}

var stats runtime.MemStats

type crashingStream struct {
	host.HTTPContext
	vm   string
	when string
}

// OnHTTPRequestHeaders implements host.HTTPContext.
func (s *crashingStream) OnHTTPRequestHeaders(n int, ended bool) host.Action {
	when, _ := host.Header(host.RequestHeaders, "weir-test-crash") // most requests have none
	s.when = strings.Clone(when)                                   // the host's memory does not last
	s.crash("request")
	before := mallocs()
	action := s.HTTPContext.OnHTTPRequestHeaders(n, ended)
	allocated += mallocs() - before
	return action
}

// OnHTTPResponseHeaders implements host.HTTPContext.
func (s *crashingStream) OnHTTPResponseHeaders(n int, ended bool) host.Action {
	if details, err := host.Property(host.ResponseCodeDetails); err == nil && string(details) == "via_upstream" {
		s.crash("response")
	}
	before := mallocs()
	action := s.HTTPContext.OnHTTPResponseHeaders(n, ended)
	allocated += mallocs() - before
	for _, h := range [...][2]string{{"weir-test-vm", s.vm}, {"weir-test-mallocs", strconv.FormatUint(allocated, 10)}} {
		if err := host.AddHeader(host.ResponseHeaders, h[0], h[1]); err != nil {
			host.Error("crash: " + err.Error())
		}
	}
	return action
}

// OnHTTPResponseBody implements host.HTTPContext.
func (s *crashingStream) OnHTTPResponseBody(size int, ended bool) host.Action {
	before := mallocs()
	action := s.HTTPContext.OnHTTPResponseBody(size, ended)
	allocated += mallocs() - before
	return action
}

// OnHTTPStreamDone implements host.HTTPContext.
func (s *crashingStream) OnHTTPStreamDone() {
	before := mallocs()
	s.HTTPContext.OnHTTPStreamDone()
	allocated += mallocs() - before
}

// crash panics outside of the filter's recover, which the runtime ends with a trap. TinyGo's edition recovers from nothing: each
// panic ends so, without a word in the log, so that one is written before. In Go's edition, a fault of the runtime itself does,
// such as memory that has run out.
func (s *crashingStream) crash(now string) {
	if s.when == now {
		host.Error("weir-test-crash: " + now)
		panic("weir-test-crash: " + now)
	}
}
