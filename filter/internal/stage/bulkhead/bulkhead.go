// Package bulkhead is the stage of the bulkhead: policy/bulkhead on the cluster's record, and the places that each
// worker holds.
//
//	Admit ─► Holds: one more in flight, shown to all workers ─► as many as all show: admitted, or one less again
//	Over  ─► Holds: one less
//	every second: Holds.Heartbeat writes this worker's true count into each record
//
// Where nothing can be shown (no Numbers), each request takes its place in the record and gives it back there.
package bulkhead

import (
	"errors"

	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/bulkhead"
	"github.com/weir-mesh/weir/policy/fallback"
)

// Stage implements stage.Member.
type Stage struct {
	config   *bulkhead.Config
	cluster  string
	holds    *Holds
	hold     *hold // of the last request
	reporter stage.Reporter
}

// New is the stage of a cluster's bulkhead for the worker that has holds.
func New(config *bulkhead.Config, cluster string, holds *Holds, r stage.Reporter) *Stage {
	return &Stage{config: config, cluster: cluster, holds: holds, reporter: r}
}

// errNoRoom is a fault: bulkhead.MaxOwners other workers of this process hold a place of one cluster.
var errNoRoom = errors.New("bulkhead: more workers than its record has room for; the request passes uncounted")

// Admit implements stage.Stage.
func (s *Stage) Admit(a *stage.Attempt, now int64) stage.Verdict {
	s.hold = s.holds.hold(s.cluster, s.hold)
	if s.Places() {
		return s.acquire(a, now)
	}
	if !a.Placed { // else it is on a newly loaded record
		s.hold.join(int64(s.config.Expiry)/2, now)
		s.hold.add()
		a.Placed = true
	}
	v, changed := a.Record.Bulkhead.Enter(*s.config, s.hold, s.holds.worker, s.hold.inFlight, now)
	if v == bulkhead.Acquired {
		a.Held |= stage.HeldPlace
		return stage.Verdict{Changed: changed}
	}
	s.Refused(a)
	return s.refusal(v)
}

// acquire takes a place where only the record counts.
func (s *Stage) acquire(a *stage.Attempt, now int64) stage.Verdict {
	v := a.Record.Bulkhead.Acquire(*s.config, s.holds.worker, now)
	if v != bulkhead.Acquired {
		return s.refusal(v)
	}
	a.Held |= stage.HeldPlace
	return stage.Verdict{Changed: true}
}

func (s *Stage) refusal(v bulkhead.Verdict) stage.Verdict {
	if v == bulkhead.Full {
		return stage.Verdict{Reason: fallback.BulkheadFull}
	}
	s.reporter.Fault(errNoRoom)
	return stage.Verdict{}
}

// Refused implements stage.Placer.
func (s *Stage) Refused(a *stage.Attempt) {
	if a.Placed {
		a.Placed = false
		s.hold.remove()
	}
}

// Places implements stage.Placer.
func (s *Stage) Places() (inRecord bool) { return s.holds.numbers == nil }

// Settle implements stage.Stage.
func (s *Stage) Settle(a *stage.Attempt, e stage.Settlement, now int64) (changed bool) {
	return e.Over && a.Placed && s.Places() && a.Record.Bulkhead.Release(s.holds.worker, now)
}

// Done implements stage.Member. A release that could not be stored is corrected by the next heartbeat.
func (s *Stage) Done(a *stage.Attempt, e stage.Settlement, _ bool) {
	switch {
	case !e.Known && !e.Over && a.Held&stage.HeldPlace != 0 && !a.Placed:
		a.Placed = true
		s.hold.add()
	case e.Over:
		s.Refused(a)
	}
}
