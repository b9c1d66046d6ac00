// Package bulkhead is the stage of the bulkhead: policy/bulkhead on the cluster's record, and the places that each
// worker holds.
//
//	Admit ─► a place in the record, owner: this worker ─► Holds: one more in flight
//	Over  ─► the place is given back                   ─► Holds: one less
//	every second: Holds.Heartbeat writes this worker's true count into each record
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
	switch a.Record.Bulkhead.Acquire(*s.config, s.holds.worker, now) {
	case bulkhead.Full:
		return stage.Verdict{Reason: fallback.BulkheadFull}
	case bulkhead.TooManyOwners:
		s.reporter.Fault(errNoRoom)
		return stage.Verdict{}
	}
	a.Held |= stage.HeldPlace
	return stage.Verdict{Changed: true}
}

// Settle implements stage.Stage.
func (s *Stage) Settle(a *stage.Attempt, e stage.Settlement, now int64) (changed bool) {
	return e.Over && a.Placed && a.Record.Bulkhead.Release(s.holds.worker, now)
}

// Done implements stage.Member. A release that could not be stored is corrected by the next heartbeat.
func (s *Stage) Done(a *stage.Attempt, e stage.Settlement, _ bool) {
	switch {
	case !e.Known && !e.Over && a.Held&stage.HeldPlace != 0:
		a.Placed = true
		s.hold = s.holds.add(s.cluster, s.hold)
	case e.Over && a.Placed:
		a.Placed = false
		s.hold.remove()
	}
}
