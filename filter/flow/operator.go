package flow

import (
	"errors"
	"slices"
	"strings"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/compile"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/cache"
	"github.com/weir-mesh/weir/sharedstate/directory"
)

// Moved is what an operator's word made of a breaker. From and To are the same where it was no transition.
type Moved struct{ From, To breaker.Status }

// Force forces a cluster's breaker, or leaves it to itself again.
func (w *Worker) Force(cluster string, f breaker.Forced, now int64) (m Moved, err error) {
	var r sharedstate.Record
	_, err = sharedstate.NewCell(w.store, sharedstate.ClusterKey(cluster), &r).Update(func() (store bool) {
		m.From = r.Breaker.Status
		store, _ = r.Breaker.Force(f, now)
		m.To = r.Breaker.Status
		return store
	})
	if err == nil {
		err = directory.Act(w.store, now)
	}
	return m, err
}

// Reset makes a cluster's record a fresh one: breaker, limits, retry budget. What runs in the bulkhead runs on. Of a limit
// that all proxies share, the workers who lease from it notice it and tell Redis.
func (w *Worker) Reset(cluster string, rules *policy.Policy, now int64) (m Moved, err error) {
	var r sharedstate.Record
	_, err = sharedstate.NewCell(w.store, sharedstate.ClusterKey(cluster), &r).Update(func() bool {
		m.From = r.Breaker.Status
		r.Breaker.Reset(now)
		m.To = r.Breaker.Status
		r.Limit, r.Budget = nil, nil
		r.Resets++
		return true
	})
	if err != nil {
		return m, err
	}
	err = directory.Act(w.store, now)
	l := rules.RateLimit
	if l == nil {
		return m, err
	}
	if l.Scope == policy.ScopeMesh {
		err = errors.Join(err, directory.Untell(w.store, cluster))
	}
	if len(l.Key) > 0 {
		err = errors.Join(err, newKeyed(cluster, l, compile.Limiter(l), w).reset())
	}
	return m, err
}

// reset empties all sets of keys. A policy before this one may have had more of them; they are not looked at any more.
func (k *keyed) reset() (err error) {
	for set := range k.sets {
		k.move(set)
		err = errors.Join(err, empty(k.cell, k.set))
	}
	return errors.Join(err, empty(k.overflowCell, k.overflow))
}

// empty frees all ways of a set, where it has any in use.
func empty(cell *sharedstate.Cell, set *sharedstate.KeySet) error {
	_, err := cell.Update(func() (store bool) {
		for i := range set.Ways {
			w := &set.Ways[i]
			store = store || w.Key != (sharedstate.Fingerprint{}) || slices.ContainsFunc(w.State, func(b byte) bool { return b != 0 })
			w.Key = sharedstate.Fingerprint{}
			clear(w.State)
		}
		return store
	})
	return err
}

// Invalidate drops the answers that are kept of a cluster: all, or with a path (whatever its query) those of that path.
func (w *Worker) Invalidate(cluster, path string, rules *policy.Policy, now int64) error {
	kept := cache.New(w.store, cluster, rules.Fallback.MaxEntries)
	if path == "" {
		return kept.Invalidate(now)
	}
	path, _, _ = strings.Cut(path, "?")
	hashed := (&cached{seed: w.seed}).hashPath(path)
	return kept.InvalidatePath(hashed, now)
}
