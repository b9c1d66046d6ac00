package admin

import (
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/cache"
)

// fill is how full the caches are. What it reads once, when the first cluster with a cache asks, is valid until the host's callback
// returns.
type fill struct {
	store  sharedstate.Store
	caches *cache.Fill
}

func (f *fill) of(cluster string) (cache.Stats, error) {
	if f.caches == nil {
		caches, err := cache.ReadFill(f.store)
		if err != nil {
			return cache.Stats{}, err
		}
		f.caches = caches
	}
	return f.caches.Of(cluster)
}
