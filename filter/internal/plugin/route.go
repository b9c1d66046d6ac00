package plugin

import (
	"errors"
	"strings"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/observe"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
)

// pass lets a request through that has a cluster without a policy, or none. Of some of them checkRoute looks where they
// went.
func (s *stream) pass(cluster string, in *request.Incoming, ended bool) {
	if !s.plugin.route.Due() {
		return
	}
	s.checksRoute, s.passedAs = true, strings.Clone(cluster)
	s.request.Pass(in, ended, host.Now())
}

// checkRoute compares the cluster that the request went to with the one whose policy decided. A request that went
// elsewhere is reported, and settled by what learns from outcomes in the cluster that it went to.
func (s *stream) checkRoute(now int64) {
	s.routeChecked = true
	c, decided := s.request.Decider(), s.passedAs
	if c != nil {
		decided = c.Upstream()
	}
	name, err := host.Text(host.ClusterName)
	switch {
	case err != nil: // a response of Envoy's own has no cluster
		return
	case name == decided:
		if c != nil && s.plugin.named != nil && s.failedOverFrom == nil {
			s.checkPolicy(c, now)
		}
		return
	}
	went := strings.Clone(name)
	switch from := s.failedOverFrom; {
	case from != nil:
		from.StopFailover(now)
		s.fault(errors.New("failover: " + from.Upstream() + ": no route leads to " + decided +
			" by the header of failover.header; `weir render` shows the one that is needed"))
	case c == nil:
		if s.plugin.choose(went) == nil {
			return // neither has a policy
		}
		s.plugin.route.Watch()
		fallthrough
	default:
		s.plugin.observe.Misrouted(observe.Misroute{Decided: decided, Went: went, ByClient: s.rerouted}, now)
	}
	s.request.Misrouted(s.plugin.learner(went), s.keyNow, now)
}

// checkPolicy does the same where the request went to the cluster that decided, by a route whose metadata name another policy. Where
// they name none, the policy that decided may be that of the cluster's metadata.
func (s *stream) checkPolicy(c *request.Cluster, now int64) {
	name, err := host.Text(host.RoutePolicy)
	if err != nil || name == "" || name == c.Policy() || s.plugin.document.Named(name) == nil {
		return
	}
	went := policy.NamedCluster(c.Upstream(), name)
	s.plugin.observe.Misrouted(observe.Misroute{Decided: c.Name(), Went: went, ByClient: s.rerouted}, now)
	s.request.Misrouted(s.plugin.learner(c.Upstream()), s.keyNow, now)
}

// keyNow hashes the request for another cluster's limit by key, which is by the client's address.
func (s *stream) keyNow(c *request.Cluster) sharedstate.Fingerprint { return s.fingerprint(c, nil) }

// learner is a cluster for requests about which the policy of another one decided, nil where it learns nothing.
func (p *Plugin) learner(upstream string) *request.Cluster {
	named, rules := p.rulesOf(upstream)
	name := policy.NamedCluster(upstream, named)
	if c, known := p.learners[name]; known {
		return c
	}
	if len(p.learners) >= maxClusters {
		clear(p.learners)
	}
	var c *request.Cluster
	if rules != nil && p.withPolicy(upstream, named) != nil {
		n, breakerOf := p.namedBy(upstream, named)
		o := p.observe.NewCluster(name, breakerOf, &policy.Policy{Mode: rules.Mode})
		c = request.NewLearner(upstream, n, rules, p.worker, p, o)
	}
	p.learners[name] = c
	return c
}
