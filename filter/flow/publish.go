package flow

import (
	"errors"
	"strings"

	"github.com/dchest/siphash"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// Publication is what one plugin tells of its policy document, once a second: that it lives and which clusters it has, for
// the admins in other plugins, and the clusters' gauges. Nothing of it is in a request's way.
type Publication struct {
	worker   *Worker
	id       uint64
	document *registry.Publisher
	mesh     *Mesh
	shown    []published
	next     int   // of shown: who is the next one's turn
	acted    int64 // the last of an operator's acts that was followed up
}

// A look at a cluster costs one to three host calls where nothing changed, and six where something did: 2 to 6 us. So a beat looks
// at each cluster that had perLook requests since the last look, a tenth of a microsecond for each of them, and beside those
// at inTurn others, one after the other: of 1,000 clusters that nobody uses each has its turn every half minute. What a
// breaker does, and an operator, is shown at once, whoever's turn it is.
const (
	inTurn  = 32
	perLook = 64
)

// published is a cluster of which this worker has a plan.
type published struct {
	plan    *Plan
	reading *registry.View
	gauges  Gauges
	resets  uint32 // that this worker knows of
	told    registry.RedisView
	cas     uint32 // of the record as it was last shown
	rests   bool   // it stays as it is shown until the record changes
}

// NewPublication is that of a document. Raw is its bytes, by which its other workers know that it is the same.
func NewPublication(worker *Worker, raw []byte, document *policy.Document, mesh *Mesh) *Publication {
	id := siphash.Hash(worker.seed[0], worker.seed[1], raw)
	p := &Publication{worker: worker, id: id, mesh: mesh, document: registry.NewPublisher(worker.store, id, document.Redis != nil)}
	for _, c := range document.Clusters {
		switch {
		case strings.Contains(c.Pattern, "*"): // its clusters are known when they are used
		case c.Policy.Mode == policy.ModeOff:
			p.document.Add(registry.Entry{Cluster: c.Pattern, Policy: policy.Policy{Mode: policy.ModeOff}})
		default:
			p.document.Add(registry.Entry{Cluster: c.Pattern, Policy: *c.Policy})
		}
	}
	return p
}

// ID is a number that the document's other workers have for it too, and no other document.
func (p *Publication) ID() uint64 { return p.id }

// Add publishes a cluster that has a plan now.
func (p *Publication) Add(plan *Plan, rules *policy.Policy, gauges Gauges) {
	p.document.Add(registry.Entry{Cluster: plan.cluster, Policy: *rules})
	plan.hosts.gauges = gauges
	if _, err := plan.cell.Load(); err != nil {
		plan.observer.Fault(err) // the next beat tries again
	}
	p.shown = append(p.shown, published{plan: plan, reading: registry.NewView(rules), gauges: gauges, resets: plan.record.Resets})
}

// Forget lets go of the plans, which are made anew. Their clusters stay published.
func (p *Publication) Forget() { p.shown, p.next = nil, 0 }

// Beat publishes. Call it every BeatEvery, and when the plugin starts. Gone is clusters that no document has any more: who
// is told of one makes its gauges say so.
func (p *Publication) Beat(now int64) (gone []registry.Entry, err error) {
	gone, err = p.document.Heartbeat(now)
	if p.mesh != nil {
		err = errors.Join(err, p.mesh.publish(now))
	}
	turns, failed := p.turns()
	err = errors.Join(err, failed)
	for i := range p.shown {
		s := &p.shown[i]
		if hisTurn := (i-p.next+len(p.shown))%len(p.shown) < turns; hisTurn || s.plan.begun >= perLook {
			s.plan.begun = 0
			err = errors.Join(err, p.show(s, now))
		}
	}
	if len(p.shown) > 0 {
		p.next = (p.next + turns) % len(p.shown)
	}
	return gone, err
}

// turns is how many clusters have their turn in this beat: all where an operator did something since the last.
func (p *Publication) turns() (n int, err error) {
	if len(p.shown) <= inTurn {
		return len(p.shown), nil
	}
	acted, err := registry.LastChange(p.worker.store)
	if err != nil || acted == p.acted {
		return inTurn, err
	}
	p.acted = acted
	return len(p.shown), nil
}

func (p *Publication) show(s *published, now int64) (err error) {
	cas, err := s.plan.cell.Load()
	if err != nil {
		return err
	}
	if s.rests && cas == s.cas {
		s.plan.hosts.look()
		return nil
	}
	s.cas = cas
	if limit := s.plan.mesh; limit != nil {
		if resets := s.plan.record.Resets; resets != s.resets || limit.resets != 0 {
			s.resets = resets
			err = limit.reset(resets, now)
		}
		err = errors.Join(err, limit.publish(&s.told, now))
	}
	s.rests = show(s.reading, s.gauges, s.plan, &s.told, now) && err == nil
	return err
}
