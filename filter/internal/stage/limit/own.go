// Package limit is the stages of rate limits that this proxy enforces by itself: one for the whole cluster, and one for
// each key. The third kind, shared by all proxies, is package mesh; it falls back to these.
package limit

import (
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/ratelimit"
)

// Own is a limit of the cluster as a whole, in the cluster's record. It implements stage.Member.
type Own struct {
	limiter *ratelimit.Limiter
	index   int
	fresh   []byte // room for a record's first state
}

// NewOwn is the stage of a limiter that stands at this index among the policy's limits.
func NewOwn(l *ratelimit.Limiter, index int) *Own { return &Own{limiter: l, index: index} }

// Admit implements stage.Stage.
func (o *Own) Admit(c *stage.Call, now int64) stage.Verdict {
	o.adopt(c, now)
	v := o.limiter.Take(c.Record.Limit, now, 1)
	c.Limits[o.index].Verdict = v
	return verdict(&v)
}

// verdict is a limiter's decision as a stage's.
func verdict(v *ratelimit.Verdict) stage.Verdict {
	if v.Admitted {
		return stage.Verdict{Changed: v.Store}
	}
	return stage.Verdict{Reason: fallback.RateLimited, Wait: v.RetryAfter, Changed: v.Store}
}

// adopt makes the record's limit one of this policy: what an earlier policy counted is carried over.
func (o *Own) adopt(c *stage.Call, now int64) {
	old := c.Record.Limit
	if o.limiter.Usable(old) {
		return
	}
	if o.fresh == nil {
		o.fresh = make([]byte, o.limiter.Size())
	}
	c.Record.Limit = o.fresh
	if len(old) == 0 {
		o.limiter.Reset(o.fresh)
	} else {
		o.limiter.Adopt(o.fresh, old, now)
	}
}

// Settle implements stage.Stage: an adaptive limit moves by outcomes.
func (o *Own) Settle(c *stage.Call, s *stage.Settlement, now int64) (changed bool) {
	return s.Known && s.Outcome != breaker.Neither && o.limiter.Usable(c.Record.Limit) &&
		o.limiter.Outcome(c.Record.Limit, s.Outcome == breaker.Success, now)
}

// Done implements stage.Member.
func (*Own) Done(*stage.Call, *stage.Settlement, bool) {}
