// Package shareddata is Envoy's shared data as a sharedstate.Store.
package shareddata

import (
	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/sharedstate"
)

// Store implements sharedstate.Store.
type Store struct{}

// Get implements sharedstate.Store. The value lasts as long as the host's memory, see host.ReuseMemory.
func (Store) Get(key string) ([]byte, uint32, error) {
	value, cas, err := host.GetSharedData(key)
	if err == host.ErrNotFound {
		err = sharedstate.ErrNotFound
	}
	return value, cas, err
}

// Set implements sharedstate.Store.
func (Store) Set(key string, value []byte, cas uint32) error {
	err := host.SetSharedData(key, value, cas)
	if err == host.ErrMismatch {
		err = sharedstate.ErrMismatch
	}
	return err
}
