package main

import (
	"errors"

	"github.com/weir-mesh/weir/filter/host"
	"github.com/weir-mesh/weir/sharedstate"
)

// sharedData is Envoy's shared data as a sharedstate.Store, a copy of filter/store.go, since package main cannot be
// imported.
type sharedData struct{}

// Get implements sharedstate.Store.
func (sharedData) Get(key string) ([]byte, uint32, error) {
	value, cas, err := host.GetSharedData(key)
	if errors.Is(err, host.ErrNotFound) {
		return nil, 0, sharedstate.ErrNotFound
	}
	return value, cas, err
}

// Set implements sharedstate.Store.
func (sharedData) Set(key string, value []byte, cas uint32) error {
	err := host.SetSharedData(key, value, cas)
	if errors.Is(err, host.ErrMismatch) {
		return sharedstate.ErrMismatch
	}
	return err
}
