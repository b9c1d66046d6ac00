// Command filter is Weir's Wasm module: build it with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared.
//
//	main.go    this: the entry point
//	plugin.go  one configuration: reads the policy, finds a cluster's plan
//	stream.go  one request: short callbacks that carry out what flow decides
//	observe.go metrics and log lines
//	store.go   Envoy's shared data as a sharedstate.Store
//	flow/      the request's state machine, which knows no proxy
//	host/      the proxy, and the only place that knows an SDK
package main

import "github.com/weir-mesh/weir/filter/host"

// The SDK wants its entry point set before main runs; in a c-shared build main never does.
func init() { host.Register(&vm{}) }

func main() {}

type vm struct{ host.DefaultVMContext }

// NewPluginContext implements host.VMContext.
func (*vm) NewPluginContext(uint32) host.PluginContext { return &plugin{} }
