package main

import (
	"bytes"
	"errors"
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
	plans  map[string]*flow.Plan
	faults *faults
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
	if err == nil {
		err = host.Every(uint32(flow.BeatEvery.Milliseconds()))
	}
	if err != nil {
		host.Error("weir: can't start: " + err.Error())
		return host.StartFailed
	}
	p.document = document
	p.plans = map[string]*flow.Plan{}
	p.faults = newFaults()
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
	if err := p.worker.Beat(host.Now()); err != nil {
		p.faults.note(err.Error())
	}
}

// NewHttpContext implements host.PluginContext.
func (p *plugin) NewHttpContext(uint32) host.HTTPContext { return &stream{plugin: p} }

// plan finds a cluster's plan, nil where it has none.
func (p *plugin) plan(cluster []byte) *flow.Plan {
	if plan, known := p.plans[string(cluster)]; known {
		return plan
	}
	return p.newPlan(string(cluster))
}

func (p *plugin) newPlan(cluster string) (plan *flow.Plan) {
	if rules := p.document.For(cluster); rules != nil {
		plan = flow.NewPlan(cluster, rules, p.worker, newObserver(cluster, rules.Mode, p.faults))
	}
	if len(p.plans) >= maxPlans {
		clear(p.plans)
	}
	p.plans[cluster] = plan
	return plan
}
