package request

import (
	"github.com/weir-mesh/weir/filter/internal/fallbackcache"
	"github.com/weir-mesh/weir/policy/fallback"
)

// found is the step of the fallback chain that answers.
type found struct {
	source fallback.Source    // FromError: none does
	asked  bool               // the chain was asked
	kept   fallbackcache.Kept // for the cache's sources
}

// findFallback asks the fallback chain. A gRPC client can read neither JSON nor problem details: it gets a gRPC status.
func (r *Request) findFallback(reason fallback.Reason, now int64) (f found) {
	c := r.cluster
	chain := c.fallbacks
	if chain == nil {
		return found{source: fallback.FromError}
	}
	if r.in.ErrorOnly {
		chain = c.fallbacksForError
	}
	kept := fallback.FromError
	if chain.WantsCache(reason) && r.in.Cache.Lookup {
		var err error
		if f.kept, kept, err = c.cache.Find(&r.in.Cache, now); err != nil {
			c.observer.Fault(err)
		}
	}
	f.source, f.asked = fallback.Choose(chain, reason, kept)
	if r.in.GRPC {
		f.source = fallback.FromError
	}
	return f
}
