package plugin

import (
	"errors"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/mesh"
	"github.com/weir-mesh/weir/filter/internal/observe"
	"github.com/weir-mesh/weir/filter/internal/publish"
	"github.com/weir-mesh/weir/filter/internal/replay"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/shareddata"
	"github.com/weir-mesh/weir/filter/internal/worker"
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/filter/version"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// Plugin is one configuration of the filter in one worker. It implements host.PluginContext.
type Plugin struct {
	host.DefaultPluginContext
	vm       *VM
	id       uint32 // of its context
	document *policy.Document
	worker   *worker.Worker
	observe  observe.Plugin

	// clusters by name; nil for a cluster without a policy. All of them exist: the names come from Envoy.
	clusters        map[string]*request.Cluster
	last            [16]lookup                  // found last, by the length of the name
	named           *named                      // policies by name; nil: the document has none
	withoutPolicy   map[string]*request.Cluster // that others fail over to: as many as the document names
	learners        map[string]*request.Cluster // of requests about which another cluster's policy decided, by name
	route           request.RouteCheck          // of requests without a policy
	failoverHeaders []string                    // that only failover may set, besides x-weir-…

	mesh  *mesh.Client // nil without Redis
	redis *redisBridge
	held  heldStreams // streams whose response is held back for another attempt

	watched map[uint32]*stream // whose response is accepted if it still flows at their alarm

	otherMetadata map[string]int64 // by cluster: until when requests with dynamic metadata are sent once

	redirected *replay.Attempt // in an internal listener: its stream has just ended, and begins anew

	note []byte // for the access log, in use by noteDecision

	publisher   *publish.Publisher
	unmatched   int           // patterns, as they were last shown
	newestSince int64         // as it was last shown, see publish.Publisher.NewestSince
	inherited   []usedCluster // clusters that other plugins of this VM used, and this one has not yet
	admin       *adminPlugin

	lastMeshTick  int64 // when mesh.Client.Tick was last called
	lastHeartbeat int64 // when onHeartbeat was last called
	counting      bool  // batched counts wait for the next tick
}

// maxClusters bounds the clusters that a plugin keeps, since they come and go (CDS, on-demand discovery). One takes
// some 4 KB. A full map is emptied and filled again, which loses no state.
const maxClusters = 4096

// OnPluginStart implements host.PluginContext. It fails on a document with a mistake, so that Envoy keeps the last good
// one, or does not start.
func (p *Plugin) OnPluginStart(int) host.StartStatus {
	raw, err := host.PluginConfiguration(p.vm.configuration[:0])
	if err != nil {
		host.Error("weir: the plugin's configuration can't be read: " + err.Error())
		return host.StartFailed
	}
	p.vm.configuration = raw
	// What the last reload left, before the next one needs as much again: TinyGo's heap doubles when a third of it is not free,
	// and never shrinks. It takes 0.3 to 95 ms (1,000 clusters, busy machine), reading 1,000 clusters 60.
	runtime.GC()
	p.document, err = policy.Decode(raw, os.LookupEnv)
	if err != nil {
		p.refuse(err)
		return host.StartFailed
	}
	if err = p.start(); err != nil {
		host.Error("weir: can't start: " + err.Error())
		return host.StartFailed
	}
	return host.StartOK
}

func (p *Plugin) start() (err error) {
	if p.worker, err = p.vm.start(); err != nil {
		return err
	}
	metrics := &p.vm.metrics
	p.observe = observe.Plugin{
		Store: shareddata.Store{}, Metrics: metrics, Faults: observe.NewFaults(metrics), Debug: host.Debugging(), Count: p.Count,
		Refused: &p.vm.refused,
	}
	info := metrics.Gauge(metric.BuildInfo.With(version.Module))
	info.Set(1)
	if p.document.Admin {
		p.admin = newAdminPlugin(p)
		return nil
	}
	if p.document.Attempts {
		return nil
	}
	p.clusters = map[string]*request.Cluster{}
	if len(p.document.Policies) > 0 {
		p.named = &named{clusters: map[string]*request.Cluster{}}
	}
	p.withoutPolicy = map[string]*request.Cluster{}
	p.learners = map[string]*request.Cluster{}
	p.failoverHeaders = failoverHeaders(p.document)
	if p.document.Redis != nil {
		if err = p.startMesh(); err != nil {
			return err
		}
	}
	if err = p.publish(); err != nil {
		return err
	}
	p.held.streams = map[uint32]*stream{}
	p.watched = map[uint32]*stream{}
	p.held.period = p.ticks()
	if err = host.Every(uint32(p.held.period.Milliseconds())); err != nil {
		return err
	}
	return nil
}

// inForce says that the policy is in force now: once for all workers, and again for one that comes back.
func (p *Plugin) inForce() error {
	host.Info("weir: version " + version.Module + ": policy " + strconv.FormatUint(uint64(p.document.Version()), 10) + " of " +
		strconv.Itoa(len(p.document.Clusters)) + " clusters and patterns is in force")
	p.observe.Metrics.ShowRefused(0)
	return registry.PublishRefused(shareddata.Store{}, registry.Refused{})
}

// refuse says why a document is refused: in the log, and to operators until another one starts. Envoy starts a document on
// its main thread first, so this is called once for all workers.
func (p *Plugin) refuse(err error) {
	reasons, hash := []string{"the policy is refused: " + err.Error()}, uint64(0)
	if mistakes, ok := errors.AsType[*policy.Mistakes](err); ok {
		reasons, hash = reasons[:0], mistakes.Hash
		for _, m := range mistakes.List {
			reasons = append(reasons, m.Path+": "+m.Text)
		}
	}
	for _, reason := range reasons {
		host.Error("weir: " + reason)
	}
	if hash != 0 {
		host.Error("weir: policy " + strconv.FormatUint(uint64(policy.Version(hash)), 10) + " is refused by these mistakes; the one before stays in force")
	}
	p.vm.metrics.ShowRefused(host.WallNano() / 1e6)
	if err := registry.PublishRefused(shareddata.Store{}, registry.Refused{At: host.Now(), Hash: hash, Reasons: reasons}); err != nil {
		host.Error("weir: the status can't show the refused policy: " + err.Error())
	}
}

// publish begins to publish the plugin's document, before its first request.
func (p *Plugin) publish() error {
	p.publisher = publish.New(p.worker, p.document, p.mesh)
	if p.vm.startedBefore(p.document.Hash) {
		p.publisher.Renew()
	}
	const ready = 8 // clusters
	made := 0
	for _, c := range p.document.Clusters {
		if strings.Contains(c.Pattern, "*") { // the clusters of a pattern are shown when they are used
			continue
		}
		p.observe.Metrics.ShowMode(c.Pattern, c.Policy.Mode)
		// The first clusters are made ready, or the first request to each would wait 2 to 4 ms while Envoy makes its metrics. Of
		// many, others may never be used. A worker that has the cluster sends an operator's reset of a mesh limit to Redis.
		if l := c.Policy.RateLimit; made < ready || l != nil && l.Scope == policy.ScopeMesh {
			p.cluster(c.Pattern)
			made++
		}
	}
	p.inherited = slices.Collect(maps.Values(p.vm.used))
	err := p.publishOnce(host.Now())
	if p.publisher.News() {
		err = errors.Join(err, p.inForce())
	}
	return err
}

// uses reports whether this plugin has a policy for requests to a cluster, and whether one of them has the cluster's breaker.
func (p *Plugin) uses(upstream string) (used, breaks bool) {
	if c := p.clusters[upstream]; c != nil {
		used, breaks = true, c.Breaks()
	}
	if p.named != nil {
		for _, c := range p.named.clusters {
			if c != nil && c.Upstream() == upstream {
				used, breaks = true, breaks || c.Breaks() && !c.OwnBreaker()
			}
		}
	}
	return used, breaks
}

func (p *Plugin) publishOnce(now int64) error {
	gone, err := p.publisher.Heartbeat(now)
	for i := range gone {
		used, breaks := p.uses(gone[i].Upstream())
		p.observe.Metrics.Retire(&gone[i], used, breaks && !gone[i].OwnBreaker)
	}
	// Each worker shows it once: a metric ends with the VM that defined it, and Envoy tries a document in a VM that it drops.
	if since := p.publisher.NewestSince(); since != p.newestSince {
		p.newestSince = since
		if since != 0 {
			p.observe.Metrics.ShowPolicy(p.document.Version(), (host.WallNano()-now+since)/1e6)
		}
	}
	if unmatched := p.publisher.Unmatched(); unmatched != p.unmatched {
		p.unmatched = unmatched
		p.observe.Metrics.ShowUnmatched(unmatched)
	}
	return err
}

// inherit makes the clusters that earlier plugins of this VM used, or their gauges would keep their last values for
// ever. One takes some 20 us, so each heartbeat makes a few.
func (p *Plugin) inherit() {
	const atOnce = 32
	n := min(atOnce, len(p.inherited))
	for _, used := range p.inherited[:n] {
		switch {
		case used.policy == "":
			p.cluster(used.name)
		case p.named != nil:
			p.namedCluster(used.name, used.policy)
		}
	}
	p.inherited = p.inherited[n:]
}

// OnTick implements host.PluginContext.
func (p *Plugin) OnTick() {
	if p.admin != nil {
		p.admin.onTick()
		return
	}
	defer p.rescue()
	now := host.Now()
	p.retryDue(now)
	p.counting = p.vm.counts.Flush()
	if p.mesh != nil && now-p.lastMeshTick >= int64(mesh.TickEvery)*3/4 {
		p.lastMeshTick = now
		p.mesh.Tick(now)
	}
	if now-p.lastHeartbeat >= int64(sharedstate.HeartbeatEvery-mesh.TickEvery) {
		p.lastHeartbeat = now
		p.onHeartbeat(now)
	}
	p.setTimer(now)
}

// onHeartbeat does what is due once a second.
func (p *Plugin) onHeartbeat(now int64) {
	p.observe.Debug = host.Debugging()
	p.expireHeld(now)
	if p.mesh != nil {
		p.expirePaused(now, p.redis.pauseTimeout())
	}
	p.inherit()
	if err := errors.Join(p.worker.Heartbeat(now), p.publishOnce(now), p.vm.refused.Publish(p.observe.Store)); err != nil {
		p.observe.Faults.Log(err.Error())
	}
}

// ticks is how often OnTick is needed.
func (p *Plugin) ticks() time.Duration {
	switch {
	case p.mesh != nil:
		return mesh.TickEvery
	case p.counting:
		return observe.CountsDelay
	default:
		return sharedstate.HeartbeatEvery
	}
}

// Count counts one more, and sets the timer that flushes batched counts.
func (p *Plugin) Count(c *observe.BatchedCounter) {
	if p.vm.counts.Add(c) && !p.counting {
		p.counting = true
		p.setTimer(host.Now())
	}
}

// rescue turns a panic in a plugin's callback into a counted fault, and lets the streams pass that wait for Redis.
func (p *Plugin) rescue() {
	if r := recover(); r != nil {
		p.observe.Faults.Report(panicText(r))
		p.expirePaused(host.Now(), 0)
	}
}

// NewHTTPContext implements host.PluginContext.
func (p *Plugin) NewHTTPContext(id uint32) host.HTTPContext {
	if p.admin != nil {
		return p.admin.newStream(id)
	}
	if p.document.Attempts {
		return &attemptStream{plugin: p}
	}
	return guard(p.vm.streams.get(p, id))
}

// cluster finds a cluster, nil where it has no policy. A name from the host is copied where it is kept.
func (p *Plugin) cluster(name string) *request.Cluster {
	last := &p.last[uint(len(name))%uint(len(p.last))]
	if last.used && last.name == name {
		return last.cluster
	}
	c, known := p.clusters[name]
	if !known {
		name = strings.Clone(name)
		c = p.newCluster(name)
	}
	*last = lookup{used: true, name: strings.Clone(name), cluster: c}
	return c
}

// lookup is the result of a search for a cluster. TinyGo allocates to look a string up in a map, and a worker's requests go
// to few clusters.
type lookup struct {
	used    bool
	name    string
	cluster *request.Cluster
}

func (p *Plugin) newCluster(name string) (c *request.Cluster) {
	p.makeRoom()
	if rules := p.document.For(name); rules != nil {
		c = p.ready(name, "", rules)
		p.vm.remember(usedCluster{name: name})
	}
	p.clusters[name] = c
	return c
}

// makeRoom makes room for one more cluster.
func (p *Plugin) makeRoom() {
	kept := len(p.clusters)
	if p.named != nil {
		kept += len(p.named.clusters)
	}
	if kept < maxClusters {
		return
	}
	clear(p.clusters)
	p.last = [len(p.last)]lookup{}
	if p.named != nil {
		clear(p.named.clusters)
		p.named.last = [len(p.named.last)]namedLookup{}
	}
	p.publisher.Forget()
	if p.mesh != nil {
		p.mesh.Forget()
	}
}

// ready makes and publishes a cluster with these rules: its own, or those of the policy of this name.
func (p *Plugin) ready(upstream, policyName string, rules *policy.Policy) (c *request.Cluster) {
	n, breakerOf := p.namedBy(upstream, policyName)
	o := p.observe.NewCluster(policy.NamedCluster(upstream, policyName), breakerOf, rules)
	c = request.NewNamed(upstream, n, rules, p.worker, p.mesh, p, o)
	c.FindClustersBy(p.failoverCluster)
	if !p.document.UsesBreaker(upstream) {
		p.observe.Metrics.NoBreaker(upstream)
	}
	if policyName != "" && (!n.OwnBreaker || rules.CircuitBreaker == nil) {
		p.observe.Metrics.NoBreaker(policy.NamedCluster(upstream, policyName))
	}
	p.publisher.Add(c, rules, p.observe.Metrics.NewGauges(c, breakerOf, rules))
	return c
}
