package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/weir-mesh/weir/filter/admin"
	"github.com/weir-mesh/weir/filter/flow"
	"github.com/weir-mesh/weir/filter/host"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
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

	id       uint32     // of its context
	mesh     *flow.Mesh // nil without Redis
	bridge   *bridge
	paused   map[uint32]*stream // those that wait for Redis
	held     held               // those whose answers are held back, for another try
	ticked   int64              // when the mesh last was
	beat     int64              // when the worker last gave a sign of life
	counting bool               // requests were counted between the last two ticks

	published *flow.Publication
	inherited []string    // clusters that other plugins of this VM had plans of, and this one has none of yet
	desk      *admin.Desk // of an instance that serves the admin API, and nothing else
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
	raw = bytes.Clone(raw) // what the host handed over does not last
	document, err := policy.Decode(raw, os.LookupEnv)
	if err != nil {
		report(err)
		return host.StartFailed
	}
	p.worker, err = p.vm.signOn()
	p.document = document
	p.plans = map[string]*flow.Plan{}
	p.strangers = map[string]*flow.Plan{}
	p.faults = newFaults(&p.vm.defined)
	p.failovers = failoverHeaders(document)
	if err == nil && document.Redis != nil {
		err = p.joinMesh()
	}
	if err == nil && document.Admin {
		p.desk = newDesk(p.worker, document.AdminHosts, p.faults)
		return host.StartOK
	}
	if err == nil {
		err = p.publish(raw)
	}
	if err == nil {
		p.held.streams = map[uint32]*stream{}
		p.held.period = p.ticks()
		err = host.Every(uint32(p.held.period.Milliseconds()))
	}
	if err != nil {
		host.Error("weir: can't start: " + err.Error())
		return host.StartFailed
	}
	p.faults.debugging = host.Debugging()
	p.greet()
	return host.StartOK
}

// greet says that the policy is in force: once, not once a worker.
func (p *plugin) greet() {
	if sharedstate.AllowLog(sharedData{}, "policy/"+strconv.FormatUint(p.published.ID(), 36), quiet, host.Now()) {
		host.Info("weir: a policy of " + strconv.Itoa(len(p.document.Clusters)) + " clusters and patterns is in force")
	}
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
	p.retry(now)
	p.counting = p.vm.tallies.tell()
	if p.mesh != nil && now-p.ticked >= int64(flow.TickEvery)*3/4 {
		p.ticked = now
		p.mesh.Tick(now)
	}
	if now-p.beat >= int64(flow.BeatEvery)-int64(flow.TickEvery) {
		p.beat = now
		p.faults.debugging = host.Debugging()
		p.expire(now)
		if p.mesh != nil {
			p.release(now, p.bridge.patience())
		}
		if err := p.worker.Beat(now); err != nil {
			p.faults.note(err.Error())
		}
		p.tell(now)
	}
	p.arm(now)
}

// count counts for a counter, and sees to it that the counter hears of it.
func (p *plugin) count(t *tally) {
	if p.vm.tallies.count(t) && !p.counting {
		p.counting = true
		p.arm(host.Now())
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
func (p *plugin) NewHttpContext(id uint32) host.HTTPContext {
	if p.desk != nil {
		return &adminStream{plugin: p}
	}
	return &stream{plugin: p, id: id}
}

// plan finds a cluster's plan, nil where it has none.
func (p *plugin) plan(cluster []byte) *flow.Plan {
	if plan, known := p.plans[string(cluster)]; known {
		return plan
	}
	return p.newPlan(string(cluster))
}

func (p *plugin) newPlan(cluster string) (plan *flow.Plan) {
	if rules := p.document.For(cluster); rules != nil {
		plan = flow.NewPlan(cluster, rules, p.worker, p.mesh, newObserver(cluster, rules, p.faults, p.count))
		plan.FindsBy(p.neighbour)
		p.published.Add(plan, rules, newGauges(cluster, rules, p.faults))
	}
	if len(p.plans) >= maxPlans {
		clear(p.plans)
		p.published.Forget()
		if p.mesh != nil {
			p.mesh.Forget()
		}
	}
	p.plans[cluster] = plan
	if plan != nil {
		p.vm.remember(cluster)
	}
	return plan
}
