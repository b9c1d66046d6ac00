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
	limiter *ratelimit.Limiter
	index   int
	learns  bool
	fresh   []byte // room for a record's first state
}

// NewPerCluster is the stage of a limiter at this index among the policy's limits. Learns says that the limit is
// adaptive: outcomes change it.
func NewPerCluster(l *ratelimit.Limiter, index int, learns bool) *PerCluster {
	return &PerCluster{limiter: l, index: index, learns: learns}
}

// Admit implements stage.Stage.
func (l *PerCluster) Admit(a *stage.Attempt, now int64) stage.Verdict {
	l.adopt(a, now)
	v := l.limiter.Take(a.Record.Limit, now, 1)
	a.Limits[l.index].Verdict = v
	return verdict(&v)
}

// verdict is a limiter's decision as a stage's.
func verdict(v *ratelimit.Verdict) stage.Verdict {
	if v.Admitted {
		return stage.Verdict{Changed: v.Store}
	}
	return stage.Verdict{Reason: fallback.RateLimited, Wait: v.RetryAfter, Changed: v.Store}
}

// adopt converts the record's limit to this policy, with what an earlier policy counted.
func (l *PerCluster) adopt(a *stage.Attempt, now int64) {
	old := a.Record.Limit
	if l.limiter.Usable(old) {
		return
	}
	if l.fresh == nil {
		l.fresh = make([]byte, l.limiter.Size())
	}
	a.Record.Limit = l.fresh
	if len(old) == 0 {
		l.limiter.Reset(l.fresh)
	} else {
		l.limiter.Adopt(l.fresh, old, now)
	}
}

// Settle implements stage.Stage: outcomes change an adaptive limit.
func (l *PerCluster) Settle(a *stage.Attempt, s stage.Settlement, now int64) (changed bool) {
	return l.learns && s.Known && s.Outcome != breaker.Neither && l.limiter.Usable(a.Record.Limit) &&
		l.limiter.Outcome(a.Record.Limit, s.Outcome == breaker.Success, now)
}

// Done implements stage.Member.
func (*PerCluster) Done(*stage.Attempt, stage.Settlement, bool) {}
