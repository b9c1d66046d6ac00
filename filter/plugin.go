package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"

	"github.com/weir-mesh/weir/filter/flow"
	"github.com/weir-mesh/weir/filter/host"
	"github.com/weir-mesh/weir/policy"
)

// plugin is one configuration of the filter in one worker.
type plugin struct {
	host.DefaultPluginContext
	vm       *vm
	document *policy.Document
	worker   *flow.Worker
	// plans by cluster; nil for a cluster without a policy. Its keys are names of clusters that exist: Envoy tells no
	// others.
	plans     map[string]*flow.Plan
	faults    *faults
	strangers map[string]*flow.Plan // of clusters without a policy that others fail over to: as many as documents name
	failovers []string              // names of headers that only failover may set, beside x-weir-…

	id     uint32     // of its context
	mesh   *flow.Mesh // nil without Redis
	bridge *bridge
	paused map[uint32]*stream // those that wait for Redis
	beat   int64              // when the worker last gave a sign of life
}

// maxPlans bounds the plans that a worker keeps while clusters come and go (CDS, on-demand discovery). A plan is some
// 4 KB; when the map is full it is emptied and filled anew, which loses no state.
const maxPlans = 4096

// OnPluginStart implements host.PluginContext. It fails on a document with a mistake, so that Envoy keeps the last good
// one, or doesn't start.
func (p *plugin) OnPluginStart(int) host.StartStatus {
	raw, err := host.PluginConfiguration()
	if err != nil {
		host.Error("weir: the plugin's configuration can't be read: " + err.Error())
		return host.StartFailed
	}
	document, err := policy.Decode(bytes.Clone(raw), os.LookupEnv) // what the host handed over does not last
	if err == nil {
		err = document.Unenforced()
	}
	if err != nil {
		report(err)
		return host.StartFailed
	}
	p.worker, err = p.vm.signOn()
	p.document = document
	p.plans = map[string]*flow.Plan{}
	p.strangers = map[string]*flow.Plan{}
	p.faults = newFaults()
	p.failovers = failoverHeaders(document)
	if err == nil && document.Redis != nil {
		err = p.joinMesh()
	}
	if err == nil {
		err = host.Every(uint32(p.ticks().Milliseconds()))
	}
	if err != nil {
		host.Error("weir: can't start: " + err.Error())
		return host.StartFailed
	}
	return host.StartOK
}

// report logs each mistake of a document on a line of its own.
func report(err error) {
	var mistakes *policy.Mistakes
	if !errors.As(err, &mistakes) {
		host.Error("weir: the policy is refused: " + err.Error())
		return
	}
	for _, m := range mistakes.List {
		host.Error("weir: " + m.Path + ": " + m.Text)
	}
}

// OnTick implements host.PluginContext.
func (p *plugin) OnTick() {
	defer p.rescue()
	now := host.Now()
	if p.mesh != nil {
		p.mesh.Tick(now)
	}
	if now-p.beat >= int64(flow.BeatEvery)-int64(flow.TickEvery) {
		p.beat = now
		if p.mesh != nil {
			p.release(now, p.bridge.patience())
		}
		if err := p.worker.Beat(now); err != nil {
			p.faults.note(err.Error())
		}
	}
}

// rescue turns a panic in a plugin's callback into a counted fault, and lets pass who waits for what it was about.
func (p *plugin) rescue() {
	if r := recover(); r != nil {
		p.faults.note(fmt.Sprint(r))
		p.release(host.Now(), 0)
	}
}

// NewHttpContext implements host.PluginContext.
func (p *plugin) NewHttpContext(id uint32) host.HTTPContext { return &stream{plugin: p, id: id} }

// plan finds a cluster's plan, nil where it has none.
func (p *plugin) plan(cluster []byte) *flow.Plan {
	if plan, known := p.plans[string(cluster)]; known {
		return plan
	}
	return p.newPlan(string(cluster))
}

func (p *plugin) newPlan(cluster string) (plan *flow.Plan) {
	if rules := p.document.For(cluster); rules != nil {
		plan = flow.NewPlan(cluster, rules, p.worker, p.mesh, newObserver(cluster, rules, p.faults))
		plan.FindsBy(p.neighbour)
	}
	if len(p.plans) >= maxPlans {
		clear(p.plans)
		if p.mesh != nil {
			p.mesh.Forget()
		}
	}
	p.plans[cluster] = plan
	return plan
}
