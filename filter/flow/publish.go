package flow

import (
	"errors"
	"strings"

	"github.com/dchest/siphash"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate/directory"
)

// Publication is what one plugin tells of its policy document, once a second: that it lives and which clusters it has, for
// the admins in other plugins, and the clusters' gauges. Nothing of it is in a request's way.
type Publication struct {
	worker   *Worker
	document *directory.Document
	mesh     *Mesh
	shown    []published
}

// published is a cluster of which this worker has a plan.
type published struct {
	plan    *Plan
	reading *Reading
	gauges  Gauges
	resets  uint32 // that this worker knows of
	told    directory.Told
}

// NewPublication is that of a document. Raw is its bytes, by which its other workers know that it is the same.
func NewPublication(worker *Worker, raw []byte, document *policy.Document, mesh *Mesh) *Publication {
	id := siphash.Hash(worker.seed[0], worker.seed[1], raw)
	p := &Publication{worker: worker, mesh: mesh, document: directory.NewDocument(worker.store, id, document.Redis != nil)}
	for _, c := range document.Clusters {
		switch {
		case strings.Contains(c.Pattern, "*"): // its clusters are known when they are used
		case c.Policy.Mode == policy.ModeOff:
			p.document.Add(directory.Entry{Cluster: c.Pattern, Policy: policy.Policy{Mode: policy.ModeOff}})
		default:
			p.document.Add(directory.Entry{Cluster: c.Pattern, Policy: *c.Policy})
		}
	}
	return p
}

// Add publishes a cluster that has a plan now.
func (p *Publication) Add(plan *Plan, rules *policy.Policy, gauges Gauges) {
	p.document.Add(directory.Entry{Cluster: plan.cluster, Policy: *rules})
	plan.hosts.gauges = gauges
	if _, err := plan.cell.Load(); err != nil {
		plan.observer.Fault(err) // the next beat tries again
	}
	p.shown = append(p.shown, published{plan: plan, reading: NewReading(rules), gauges: gauges, resets: plan.record.Resets})
}

// Forget lets go of the plans, which are made anew. Their clusters stay published.
func (p *Publication) Forget() { p.shown = nil }

// Beat publishes. Call it every BeatEvery, and when the plugin starts. Gone is clusters that no document has any more: who
// is told of one makes its gauges say so.
func (p *Publication) Beat(now int64) (gone []directory.Entry, err error) {
	gone, err = p.document.Beat(now)
	if p.mesh != nil {
		err = errors.Join(err, p.mesh.publish(now))
	}
	for i := range p.shown {
		err = errors.Join(err, p.show(&p.shown[i], now))
	}
	return gone, err
}

func (p *Publication) show(s *published, now int64) (err error) {
	if _, err = s.plan.cell.Load(); err != nil {
		return err
	}
	if limit := s.plan.mesh; limit != nil {
		if resets := s.plan.record.Resets; resets != s.resets || limit.resets != 0 {
			s.resets = resets
			err = limit.reset(resets, now)
		}
		err = errors.Join(err, limit.publish(&s.told, now))
	}
	s.reading.show(s.gauges, s.plan, &s.told, now)
	return err
}
