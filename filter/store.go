package main

import (
	"github.com/weir-mesh/weir/filter/host"
	"github.com/weir-mesh/weir/sharedstate"
)

// sharedData is Envoy's shared data as a sharedstate.Store.
type sharedData struct{}

// Get implements sharedstate.Store.
func (sharedData) Get(key string) ([]byte, uint32, error) {
	value, cas, err := host.GetSharedData(key)
	if err == host.ErrNotFound {
		err = sharedstate.ErrNotFound
	}
	return value, cas, err
}

// Set implements sharedstate.Store.
func (sharedData) Set(key string, value []byte, cas uint32) error {
	err := host.SetSharedData(key, value, cas)
	if err == host.ErrMismatch {
		err = sharedstate.ErrMismatch
	}
	return err
}
