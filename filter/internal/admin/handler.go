package admin

import (
	"maps"
	"strings"

	"github.com/weir-mesh/weir/filter/adminapi"
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/bulkhead"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// AuditLog records what operators do.
type AuditLog interface {
	// Transition records that an operator's action changed a breaker's state.
	Transition(cluster string, from, to breaker.Status)
	// Action records any action: "reset", "breaker open", "cache invalidated".
	Action(cluster, action string)
	// Error records an error of the filter itself.
	Error(err error)
}

// Handler answers operators. One goroutine uses it at a time.
type Handler struct {
	store   sharedstate.Store
	seed    [2]uint64
	hosts   []string
	metrics Metrics
	audit   AuditLog
	shown   Shown
	envoy   adminapi.Envoy

	clusters   map[string]*cluster // those listed, by name
	renderings renderings
	redisCalls []Metric // calls that succeeded, then those that failed, by redis.Kind

	misroutedTotal, missingTotal found
}

// found is the counter that was looked up last: Envoy allocates an id each time.
type found struct {
	name    string
	counter Metric
}

func (f *found) value(m Metrics, name string) (uint64, error) {
	if f.name != name {
		f.name, f.counter = name, m.Counter(name)
	}
	return f.counter.Value()
}

// cluster is what is kept of a cluster between two requests.
type cluster struct {
	packed   string // the entry: a reload changes it
	entry    registry.Entry
	counters *counters
	view     *registry.View
}

// Shown is what the workers show of the requests that a cluster's bulkhead counts.
type Shown func(cluster string) bulkhead.Shown

// NewHandler is the admin API over a store. Seed is the process's, see sharedstate.Seed. Hosts are names that a
// browser may ask for, besides addresses and private names. Envoy says which proxy this is.
func NewHandler(
	store sharedstate.Store, seed [2]uint64, hosts []string, envoy adminapi.Envoy, metrics Metrics, audit AuditLog, shown Shown,
) *Handler {
	h := &Handler{
		store: store, seed: seed, hosts: hosts, envoy: envoy, metrics: metrics, audit: audit, shown: shown,
		clusters: map[string]*cluster{},
	}
	h.redisCalls = append(h.redisCalls, metrics.Counter(metric.RedisCallsTotal.With("ok")))
	for kind := redis.Malformed; kind <= redis.Refused; kind++ {
		h.redisCalls = append(h.redisCalls, metrics.Counter(metric.RedisCallsTotal.With(strings.ReplaceAll(kind.String(), " ", "_"))))
	}
	return h
}

// find is a cluster's entry.
func (h *Handler) find(name string, at Instant) (*cluster, *httpError) {
	scan, err := registry.NewScan(h.store, at.Monotonic)
	if err != nil {
		return nil, h.internalError(err)
	}
	var found registry.Packed
	for scan.More() {
		if packed := scan.Next(); string(packed.Cluster()) == name {
			found = packed
		}
	}
	h.forget(scan)
	if c := h.cluster(found); c != nil {
		return c, nil
	}
	return nil, newError(404, "no cluster "+quote(name)+" has a policy: GET /status lists those that have one")
}

// forget drops the state of clusters that a whole scan did not find, some 2 KB each. All other clusters are kept, however
// many there are, since Envoy allocates an id each time a metric is looked up by name, and frees it only with the VM.
func (h *Handler) forget(scan *registry.Scan) {
	if len(h.clusters) > scan.Count() {
		maps.DeleteFunc(h.clusters, func(name string, _ *cluster) bool { return !scan.Has(name) })
	}
}

// cluster is what is kept of a cluster, nil where the bytes are no entry. The entry is unpacked when it has changed.
func (h *Handler) cluster(packed registry.Packed) *cluster {
	c := h.clusters[string(packed.Cluster())]
	if c == nil || c.packed != string(packed) {
		c = &cluster{packed: string(packed)}
		if !c.entry.Unpack(packed) {
			return nil
		}
		c.counters, c.view = newCounters(h.metrics, h.store, &c.entry), registry.NewView(&c.entry.Policy)
		h.clusters[c.entry.Cluster] = c
	}
	return c
}

// internalError is the response where the store or a metric cannot be read.
func (h *Handler) internalError(err error) *httpError {
	h.audit.Error(err)
	return newError(500, err.Error())
}

// InternalError is the response where the filter itself failed.
func InternalError(err error, audit AuditLog) Response {
	audit.Error(err)
	return newError(500, err.Error()).response()
}
