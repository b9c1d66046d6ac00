// Package shareddata is Envoy's shared data as a sharedstate.Store. The records of clusters have versions, which are gauges
// of Envoy: all workers read and raise the same number.
package shareddata

import (
	"strings"
	"unsafe"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/sharedstate"
)

// Store implements sharedstate.Versioned. The zero Store has no versions, and raises none: it is for other keys than those
// of the clusters' records.
type Store struct{ versions *Versions }

// Versions are the gauges of one VM, by the key of the cluster's record.
type Versions struct {
	define func(cluster string) host.Gauge
	gauges map[string]host.Gauge

	last  string // the key that was raised last: a cell passes the same string each time
	gauge host.Gauge
}

// NewStore is a store with versions. Define finds or defines the gauge of a cluster.
func NewStore(define func(cluster string) host.Gauge) Store {
	return Store{&Versions{define: define, gauges: map[string]host.Gauge{}}}
}

// Get implements sharedstate.Store. The value lasts as long as the host's memory, see host.ReuseMemory.
func (Store) Get(key string) ([]byte, uint32, error) {
	value, cas, err := host.GetSharedData(key)
	if err == host.ErrNotFound {
		err = sharedstate.ErrNotFound
	}
	return value, cas, err
}

// Set implements sharedstate.Store.
func (s Store) Set(key string, value []byte, cas uint32) error {
	err := host.SetSharedData(key, value, cas)
	if err == host.ErrMismatch {
		return sharedstate.ErrMismatch
	}
	if err == nil && s.versions != nil {
		s.versions.raise(key)
	}
	return err
}

// Version implements sharedstate.Versioned.
func (s Store) Version(key string) sharedstate.Version {
	if s.versions == nil {
		return nil
	}
	gauge, ok := s.versions.of(key)
	if !ok || !gauge.Defined() {
		return nil
	}
	return version{gauge}
}

// of is the gauge of a key, if it is that of a cluster's record.
func (v *Versions) of(key string) (g host.Gauge, ok bool) {
	cluster, ok := strings.CutPrefix(key, sharedstate.ClusterPrefix)
	if !ok {
		return g, false
	}
	g, known := v.gauges[key]
	if !known {
		g = v.define(cluster)
		v.gauges[key] = g
	}
	return g, true
}

func (v *Versions) raise(key string) {
	if len(key) != len(v.last) || unsafe.StringData(key) != unsafe.StringData(v.last) {
		gauge, ok := v.of(key)
		if !ok {
			return
		}
		v.last, v.gauge = key, gauge
	}
	v.gauge.Raise()
}

// version implements sharedstate.Version.
type version struct{ gauge host.Gauge }

// Read implements sharedstate.Version.
func (v version) Read() (uint64, bool) {
	n, err := v.gauge.Value()
	return n, err == nil
}

// Number is a gauge as a word that all workers read and one sets. It implements bulkhead.Number.
type Number struct{ Gauge host.Gauge }

// Set implements bulkhead.Number.
func (n Number) Set(value uint64) { n.Gauge.Set(value) }

// Value implements bulkhead.Number.
func (n Number) Value() (uint64, bool) {
	value, err := n.Gauge.Value()
	return value, err == nil && n.Gauge.Defined()
}
