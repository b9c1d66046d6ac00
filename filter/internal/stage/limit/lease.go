package limit

import (
	"errors"
	"time"

	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

// lease is what the worker took from its cluster's limit in advance: most requests are admitted from it, and neither read
// nor change the record.
//
//	Admit  a lease is valid    ─► one less
//	       none is left        ─► one request and a new lease, in one change of the record
//	Done   that change is in the record: it counts
//	every second: Leases.Heartbeat gives back what is left of leases that are no longer valid, or were not used for a second
type lease struct {
	leases  *Leases
	cluster string
	most    int64 // requests that a lease may have, the one that takes it included; 0, 1: none are taken

	size   int64           // of the next one
	held   ratelimit.Lease // what is left of the last one
	had    int64           // what it had at first
	resets uint32          // of the record that it was taken from
	listed bool            // in leases
	before int64           // what was left of it at the last heartbeat

	emptyAt int64 // when nothing is used, by the verdict that took it; 0: as ever

	decided decided // by the last Admit, for Done
}

// decided is how the last Admit admitted.
type decided struct {
	from    source
	held    ratelimit.Lease
	verdict ratelimit.Verdict
	resets  uint32
	now     int64
}

type source uint8

const (
	nothing source = iota
	fromLease
	fromRecord
)

// take decides about a request. It may run several times for one, each on a newly loaded record.
func (l *lease) take(views *ratelimit.Views, resets uint32, now int64) ratelimit.Verdict {
	d := &l.decided
	ours := l.resets == resets && views.Alone()
	if ours && l.held.Left > 0 && now < l.held.Until {
		d.from = fromLease
		return ratelimit.Verdict{
			Admitted: true, Remaining: views.Remaining(now) + l.held.Left - 1, Reset: time.Duration(max(l.emptyAt-now, 0)),
		}
	}
	if ours {
		views.Return(l.held, now) // in the record only if the request is admitted
	}
	v, held := views.TakeLease(now, l.size)
	switch {
	case v.Admitted:
		*d = decided{from: fromRecord, held: held, verdict: v, resets: resets, now: now}
	case v.Store: // it was repaired
		l.held = ratelimit.Lease{}
	}
	return v
}

// taken notes that what the last take decided is in the record.
func (l *lease) taken(of *PerCluster) {
	d := &l.decided
	switch d.from {
	case fromLease:
		l.held.Left--
	case fromRecord:
		// All of the last one was used before it ended: a larger one. Else as many as were used.
		switch {
		case l.held.Left == 0 && d.now < l.held.Until:
			l.size = min(l.size+1+l.size/4, l.most)
		default:
			l.size = max(l.had-l.held.Left, 1)
		}
		l.held, l.had, l.resets = d.held, d.held.Left+1, d.resets
		l.emptyAt = d.now + int64(d.verdict.Reset)
		if l.held.Left > 0 && !l.listed {
			l.leases.list(of)
		}
	}
	d.from = nothing
}

// Leases are those of one worker, by cluster and plugin. A lease may outlive its plugin.
type Leases struct {
	workers int64
	listed  []*PerCluster
	record  sharedstate.Record
	cell    *sharedstate.Cell
}

// NewLeases is the list of a worker, one of at most so many in this process.
func NewLeases(store sharedstate.Store, workers uint32) *Leases {
	l := &Leases{workers: int64(workers)}
	l.cell = sharedstate.NewCell(store, "", &l.record)
	return l
}

func (l *Leases) list(c *PerCluster) {
	c.lease.listed = true
	l.listed = append(l.listed, c)
}

// Heartbeat gives back what is left of leases that are no longer valid, or were not used since the last one: of a long
// window a lease is valid for minutes, and its plugin may be gone.
func (l *Leases) Heartbeat(now int64) (err error) {
	kept := l.listed[:0]
	for _, c := range l.listed {
		held := &c.lease.held
		if held.Left > 0 && now < held.Until && held.Left != c.lease.before {
			c.lease.before = held.Left
			kept = append(kept, c)
			continue
		}
		c.lease.listed, c.lease.before = false, 0
		if held.Left > 0 {
			err = errors.Join(err, l.giveBack(c, now))
			c.lease.had -= held.Left // that many were used, see taken
			*held = ratelimit.Lease{}
		}
	}
	clear(l.listed[len(kept):])
	l.listed = kept
	return err
}

func (l *Leases) giveBack(c *PerCluster, now int64) error {
	l.cell.Move(sharedstate.ClusterKey(c.lease.cluster))
	_, err := l.cell.Update(func() bool {
		if l.record.Resets != c.lease.resets || !c.views.Has(l.record.Limit) {
			return false
		}
		l.record.Limit = c.views.Open(l.record.Limit, now)
		return c.views.Return(c.lease.held, now)
	})
	return err
}
