package request

import (
	"github.com/weir-mesh/weir/filter/internal/fallbackcache"
	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/fallback"
)

// fallbackChoice is the source that the fallback chain chose.
type fallbackChoice struct {
	source    fallback.Source     // FromError: no fallback applies
	consulted bool                // the chain applies to the reason
	kept      fallbackcache.Kept  // for the cache's sources
	data      *policy.DefaultData // for FromDefault
}

// findFallback chooses a fallback. A client of gRPC, gRPC-Web or Connect
// can read neither default data nor problem details: it gets an error of its protocol, or the kept answer to a Connect GET.
func (r *Request) findFallback(reason fallback.Reason, now int64) (choice fallbackChoice) {
	c := r.cluster
	chain := c.fallbacks
	if chain == nil {
		return fallbackChoice{source: fallback.FromError}
	}
	if r.in.ErrorOnly {
		chain = c.fallbacksForError
	}
	kept := fallback.FromError
	if chain.WantsCache(reason) {
		why := r.in.Cache.ToUsing()
		if r.in.Cache.Lookup {
			var err error
			if choice.kept, kept, why, err = c.cache.Find(&r.in.Cache, now); err != nil {
				c.observer.Fault(err)
			}
		}
		if kept == fallback.FromError && why != fallback.NoObstacle {
			c.observer.NotUsed(why)
		}
	}
	if chain.Default && kept == fallback.FromError {
		choice.data = c.defaults.DefaultFor(string(r.in.Path))
	}
	choice.source, choice.consulted = fallback.Choose(chain, reason, kept, choice.data != nil)
	switch r.in.Protocol {
	case localreply.PlainHTTP:
		if r.in.GRPC {
			choice.source = fallback.FromError
		}
	case localreply.ConnectUnary: // the kept answer to a GET is one of that protocol
		if kept == fallback.FromError {
			choice.source = fallback.FromError
		}
	default:
		choice.source = fallback.FromError
	}
	return choice
}
