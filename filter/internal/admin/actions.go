package admin

import (
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/jsontext"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// done is the response to an action.
func done(cluster, action string) Response {
	return jsonResponse(200, func(w *jsontext.Writer) {
		w.Open('{')
		w.Name("cluster")
		w.String(cluster)
		w.Name("done")
		w.String(action)
		w.Close('}')
	})
}

// reset responds to POST /reset/CLUSTER.
func (h *Handler) reset(name string, at Instant) (Response, *httpError) {
	c, failed := h.find(name, at)
	if failed != nil {
		return Response{}, failed
	}
	n, err := c.counters.read()
	if err == nil {
		err = registry.StoreCountsAtReset(h.store, name, n)
	}
	if err != nil {
		return Response{}, h.internalError(err)
	}
	t, err := registry.ResetCluster(h.store, &c.entry, at.Monotonic)
	if err != nil {
		return Response{}, h.internalError(err)
	}
	h.logTransition(c.entry.BreakerOf(), t)
	h.audit.Action(name, "reset")
	return done(name, "reset"), nil
}

// force responds to POST /breaker/CLUSTER/ACTION.
func (h *Handler) force(name, action string, at Instant) (Response, *httpError) {
	c, failed := h.find(name, at)
	if failed != nil {
		return Response{}, failed
	}
	if c.entry.Policy.CircuitBreaker == nil {
		return Response{}, newError(400, "the policy of "+quote(name)+" has no circuit_breaker")
	}
	t, err := registry.ForceBreaker(h.store, c.entry.BreakerOf(), breakerActions[action], at.Monotonic)
	if err != nil {
		return Response{}, h.internalError(err)
	}
	h.logTransition(c.entry.BreakerOf(), t)
	h.audit.Action(name, "breaker "+action)
	return done(name, action), nil
}

// breakerActions are what POST /breaker/CLUSTER/… may end with.
var breakerActions = map[string]breaker.Forced{"open": breaker.ForcedOpen, "close": breaker.ForcedClosed, "auto": breaker.NotForced}

func (h *Handler) logTransition(name string, t registry.Transition) {
	if t.From != t.To {
		h.audit.Transition(name, t.From, t.To)
	}
}

// invalidate responds to POST /cache/invalidate. An empty path means all paths.
func (h *Handler) invalidate(name, path string, at Instant) (Response, *httpError) {
	c, failed := h.find(name, at)
	if failed != nil {
		return Response{}, failed
	}
	f := c.entry.Policy.Fallback
	if f == nil || !f.EnableCache {
		return Response{}, newError(400, "the policy of "+quote(name)+" has no cache: set fallback.enable_cache_fallback")
	}
	if err := registry.InvalidateCache(h.store, h.seed, c.entry.Upstream(), path, f, at.Monotonic); err != nil {
		return Response{}, h.internalError(err)
	}
	h.audit.Action(name, "cache invalidated")
	return done(name, "invalidate"), nil
}
