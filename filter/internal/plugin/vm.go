// Package plugin is Weir as a proxy-wasm plugin: short callbacks that read from the host what a decision needs, call
// package request, and carry out the step that it returns.
//
//	vm.go       one worker's VM: what its plugins have in common
//	plugin.go   one configuration in one worker: starts, ticks, and finds a cluster's policy
//	stream.go   one HTTP stream: a request and its response
//	streams.go  streams that have ended, to be used again
//	guarded.go  panics in a stream's callbacks become faults, where there is a recover
//	body.go     bodies that are recorded or kept as they pass
//	redis.go    calls to Redis, and the streams that wait for them
//	retries.go  attempts that the filter makes itself, and the streams that wait for them
//	alarms.go   when streams are due: held responses, and
//	watch.go    responses of probes, which are accepted if they still flow
//	attempt.go  a plugin whose configuration is `{"attempts": {}}`: those attempts on their way through the routes
//	failover.go the clusters that others fail over to
//	route.go    requests that went to another cluster than the one whose policy decided
//	admin.go    a plugin whose configuration is `{"admin": {}}`
package plugin

import (
	"slices"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/observe"
	"github.com/weir-mesh/weir/filter/internal/replay"
	"github.com/weir-mesh/weir/filter/internal/shareddata"
	"github.com/weir-mesh/weir/filter/internal/stage/bulkhead"
	"github.com/weir-mesh/weir/filter/internal/worker"
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/sharedstate"
)

// VM is one worker's VM. Each reload starts a new plugin in it. It implements host.VMContext.
type VM struct {
	worker   *worker.Worker
	id       string // vm_id
	recorder *replay.Recorder
	inFlight replay.InFlight // the attempts that plugins of this worker make themselves
	metrics  observe.Metrics
	counts   observe.Batch
	refused  observe.RefusedKeys
	used     map[string]usedCluster // clusters that any plugin used, by their keys
	streams  streams

	documents     [16]uint64 // that its last plugins started with, by policy.Document.Hash
	next          int        // in documents
	configuration []byte     // of the last plugin that started; the next one's has the same memory
}

// NewVM is a VM to be registered with the host.
func NewVM() *VM { return &VM{recorder: replay.NewRecorder()} }

// NewPluginContext implements host.VMContext.
func (v *VM) NewPluginContext(id uint32) host.PluginContext { return &Plugin{vm: v, id: id} }

// start registers the worker, when the first plugin starts.
func (v *VM) start() (*worker.Worker, error) {
	if v.worker != nil {
		return v.worker, nil
	}
	var err error
	if v.id, err = host.Text(host.VMID); err != nil && err != host.ErrNotFound {
		return nil, err
	}
	v.id = strings.Clone(v.id)
	random, err := host.Random()
	if err != nil {
		return nil, err
	}
	if err = sharedstate.MarkStart(shareddata.Store{}, host.Now()); err != nil {
		return nil, err
	}
	v.worker, err = worker.New(shareddata.NewStore(v.version), v.places, random)
	return v.worker, err
}

// version is the gauge whose number says how often a cluster's record was changed, see sharedstate.Version.
func (v *VM) version(cluster string) host.Gauge {
	return v.metrics.Gauge(metric.RecordVersion.With(cluster))
}

// places is the gauge by which a worker shows how many requests of a cluster it has in flight, see bulkhead.Holds.
func (v *VM) places(cluster string, slot uint32) bulkhead.Number {
	return shareddata.Number{Gauge: v.metrics.Gauge(placesName(cluster, v.id, slot))}
}

// placesName is the name of that gauge. All VMs of a process share Envoy's gauges, but those of another vm_id, or of a module
// whose keys have another prefix, have workers with the same ids and records of their own: `vm_id/2/1`, where keys begin
// with `weir/2/`, of slot 1.
func placesName(cluster, vmID string, slot uint32) string {
	layout := strings.TrimPrefix(sharedstate.Prefix, "weir")
	return metric.BulkheadPlaces.With(cluster, vmID+layout+strconv.FormatUint(uint64(slot), 10))
}

// remember notes that a cluster is used, for later plugins of this VM. The set is bounded as a plugin's clusters are.
func (v *VM) remember(cluster usedCluster) {
	if v.used == nil || len(v.used) >= maxClusters {
		v.used = map[string]usedCluster{}
	}
	v.used[cluster.key()] = cluster
}

// usedCluster is a cluster with its own policy, or with one by name.
type usedCluster struct{ name, policy string }

// key is of two clusters never the same: the name of a policy has no zero byte. A map by the struct would need reflection.
func (c usedCluster) key() string { return c.policy + "\x00" + c.name }

// startedBefore reports whether one of the last plugins of this VM had this document, and notes that one more has. A VM that is
// started, since Envoy is or since the last one trapped, starts each of its documents for the first time. What it starts again
// was loaded again: Envoy's main thread has a VM, too, and comes first.
func (v *VM) startedBefore(document uint64) (before bool) {
	before = slices.Contains(v.documents[:], document)
	v.documents[v.next%len(v.documents)] = document
	v.next++
	return before
}
