package registry

import (
	"errors"
	"strings"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/cache"
)

// Transition is a breaker's state before and after an operator's action. The two are the same where the action changed
// no state.
type Transition struct{ From, To breaker.Status }

// ForceBreaker forces a cluster's breaker open or closed, or ends that (breaker.NotForced).
func ForceBreaker(store sharedstate.Store, cluster string, forced breaker.Forced, now int64) (Transition, error) {
	t, err := changeRecord(store, cluster, func(r *sharedstate.Record) (changed bool) {
		changed, _ = r.Breaker.Force(forced, now)
		return changed
	})
	if err == nil {
		err = MarkChange(store, now)
	}
	return t, err
}

// ResetCluster closes a cluster's breaker and makes its limits and its retry budget unused; of a policy by name its own limit,
// and the breaker and the budget of its cluster. Requests that run stay in the bulkhead. The workers that lease from a
// limit of scope mesh notice the reset and send it to Redis, see ClaimReset.
func ResetCluster(store sharedstate.Store, e *Entry, now int64) (Transition, error) {
	cluster, p := e.Cluster, &e.Policy
	apart := e.BreakerOf() != cluster
	t, err := changeRecord(store, e.BreakerOf(), func(r *sharedstate.Record) bool {
		r.Breaker.Reset(now)
		r.Budget = nil
		if !apart {
			r.Limit = nil
			r.Resets++
		}
		return true
	})
	if apart && err == nil {
		_, err = changeRecord(store, cluster, func(r *sharedstate.Record) bool {
			r.Limit = nil
			r.Resets++
			return true
		})
	}
	if l := p.RateLimit; err == nil && l != nil {
		if l.Scope == policy.ScopeMesh {
			err = clearRedisViews(store, cluster)
		}
		if len(l.Key) > 0 {
			err = errors.Join(err, sharedstate.NewKeyTable(store, cluster, l.MaxKeys).Clear(), forgetRefusedKeys(store, cluster))
		}
	}
	return t, errors.Join(err, MarkChange(store, now)) // last: whoever sees the mark sees all of the change
}

// changeRecord changes a cluster's record.
func changeRecord(store sharedstate.Store, cluster string, change func(r *sharedstate.Record) (changed bool)) (t Transition, err error) {
	var r sharedstate.Record
	_, err = sharedstate.NewCell(store, sharedstate.ClusterKey(cluster), &r).Update(func() (store bool) {
		t.From = r.Breaker.Status
		store = change(&r)
		t.To = r.Breaker.Status
		return store
	})
	return t, err
}

// InvalidateCache drops the cached responses of a cluster whose policy has a fallback: all of them, or those of one
// path whatever their query. An empty path means all. Seed is the process's, see sharedstate.Seed.
func InvalidateCache(store sharedstate.Store, seed [2]uint64, cluster, path string, f *policy.Fallback, now int64) error {
	responses := cache.New(store, cluster, f.MaxEntries)
	if path == "" {
		return responses.Invalidate(now)
	}
	path, _, _ = strings.Cut(path, "?")
	return responses.InvalidatePath(cache.PathHash(seed, []byte(path)), now)
}
