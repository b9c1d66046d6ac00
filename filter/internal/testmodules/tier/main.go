// Command tier is a filter for tests that stands before Weir and changes the request's route: it copies the header
// x-plan to x-tier, after which Envoy's Wasm host clears the route.
package main

import "github.com/weir-mesh/weir/filter/internal/host"

func init() { host.Register(&vm{}) }

func main() {}

type vm struct{}

// NewPluginContext implements host.VMContext.
func (*vm) NewPluginContext(uint32) host.PluginContext { return &plugin{} }

type plugin struct{ host.DefaultPluginContext }

// NewHTTPContext implements host.PluginContext.
func (*plugin) NewHTTPContext(uint32) host.HTTPContext { return &stream{} }

type stream struct{ host.DefaultHTTPContext }

// OnHTTPRequestHeaders implements host.HTTPContext.
func (*stream) OnHTTPRequestHeaders(int, bool) host.Action {
	if plan, err := host.Header(host.RequestHeaders, "x-plan"); err == nil {
		if err := host.ReplaceHeader(host.RequestHeaders, "x-tier", plan); err != nil {
			panic(err)
		}
	}
	return host.Continue
}
