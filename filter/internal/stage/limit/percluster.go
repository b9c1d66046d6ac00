// Package limit has the stages of rate limits that this proxy enforces by itself: PerCluster for the cluster as a
// whole, PerKey for each key. The third kind, shared by all proxies, is package mesh; it falls back to these.
package limit

import (
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/ratelimit"
)

// PerCluster is a limit of the cluster as a whole, in the cluster's record. It implements stage.Member.
type PerCluster struct {
	views  *ratelimit.Views
	index  int
	learns bool
	lease  lease
}

// NewPerCluster is the stage of a limiter at this index among the policy's limits. Learns says that the limit is
// adaptive: outcomes change it.
func NewPerCluster(l *ratelimit.Limiter, index int, learns bool) *PerCluster {
	return &PerCluster{views: ratelimit.NewViews(l), index: index, learns: learns}
}

// NewLeasedPerCluster is NewPerCluster for a limit of which the worker takes leases.
func NewLeasedPerCluster(l *ratelimit.Limiter, index int, learns bool, cluster string, leases *Leases) *PerCluster {
	c := NewPerCluster(l, index, learns)
	c.lease = lease{leases: leases, cluster: cluster, most: l.Leasable(leases.workers), size: 1}
	return c
}

// Admit implements stage.Stage.
func (l *PerCluster) Admit(a *stage.Attempt, now int64) stage.Verdict {
	a.Record.Limit = l.views.Open(a.Record.Limit, now)
	if l.lease.most <= 1 {
		v := l.views.Take(now, 1)
		a.Limits[l.index].Verdict = v
		return verdict(&v)
	}
	v := &a.Limits[l.index].Verdict
	*v = l.lease.take(l.views, a.Record.Resets, now)
	return verdict(v)
}

// verdict is a limiter's decision as a stage's.
func verdict(v *ratelimit.Verdict) stage.Verdict {
	if v.Admitted {
		return stage.Verdict{Changed: v.Store}
	}
	return stage.Verdict{Reason: fallback.RateLimited, Wait: v.RetryAfter, Changed: v.Store}
}

// Settle implements stage.Stage: outcomes change an adaptive limit.
func (l *PerCluster) Settle(a *stage.Attempt, s stage.Settlement, now int64) (changed bool) {
	if !l.learns || !s.Known || s.Outcome == breaker.Neither || !l.views.Has(a.Record.Limit) {
		return false
	}
	a.Record.Limit = l.views.Open(a.Record.Limit, now)
	return l.views.Outcome(s.Outcome == breaker.Success, now)
}

// Done implements stage.Member.
func (l *PerCluster) Done(_ *stage.Attempt, s stage.Settlement, _ bool) {
	if l.lease.most > 1 && !s.Known && !s.Over {
		l.lease.taken(l)
	}
}
