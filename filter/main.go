// Command filter is Weir's Wasm module: build it with GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared.
//
//	main.go    this: the entry point
//	plugin.go  one configuration: reads the policy, finds a cluster's plan
//	stream.go  one request: short callbacks that carry out what flow decides
//	mesh.go    calls to Redis, and the streams that wait for them
//	replaying.go  tries that the filter makes itself, and the streams that wait for them
//	failover.go   the clusters that others fail over to
//	observe.go metrics and log lines
//	tally.go   what is counted for each request, on its way to Envoy's counters
//	defined.go the metrics that this VM has named
//	gauges.go  what is published once a second
//	adminplugin.go  the same module on the admin listener
//	store.go   Envoy's shared data as a sharedstate.Store
//	flow/      the request's state machine, which knows no proxy
//	host/      the proxy, and the only place that knows an SDK
package main

import (
	"github.com/weir-mesh/weir/filter/flow"
	"github.com/weir-mesh/weir/filter/host"
	"github.com/weir-mesh/weir/filter/replay"
)

// The SDK wants its entry point set before main runs; in a c-shared build main never does.
func init() { host.Register(&vm{}) }

func main() {}

// vm is one worker's VM. Plugins come and go in it with reloads; what they share is the worker.
type vm struct {
	host.DefaultVMContext
	worker   *flow.Worker
	recorder replay.Recorder
	tallies  tallies
	defined  defined
	used     map[string]struct{} // clusters that had a plan in any plugin
}

// NewPluginContext implements host.VMContext.
func (v *vm) NewPluginContext(id uint32) host.PluginContext { return &plugin{vm: v, id: id} }

// signOn makes the worker, when the first plugin starts.
func (v *vm) signOn() (*flow.Worker, error) {
	if v.worker != nil {
		return v.worker, nil
	}
	random, err := host.Random()
	if err != nil {
		return nil, err
	}
	v.worker, err = flow.NewWorker(sharedData{}, random)
	return v.worker, err
}
