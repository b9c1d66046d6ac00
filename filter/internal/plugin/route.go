package plugin

import (
	"errors"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/observe"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/policy"
)

// pass lets a request through that has a cluster without a policy, or none. Of some of them checkRoute looks where they
// went.
func (s *stream) pass(cluster string, in *request.Incoming, ended bool) {
	if !s.plugin.route.Due() {
		return
	}
	s.checksRoute, s.passedAs = true, cluster
	s.request.Pass(in, ended, host.Now())
}

// checkRoute compares the cluster that the request went to with the one whose policy decided. A request that went
// elsewhere is reported, and settled by the breaker of the cluster that it went to.
func (s *stream) checkRoute(now int64) {
	s.routeChecked = true
	decided := s.passedAs
	if c := s.request.Decider(); c != nil {
		decided = c.Name()
	}
	name, err := host.Property(host.ClusterName)
	if err != nil || string(name) == decided { // a response of Envoy's own has no cluster
		return
	}
	went := string(name)
	switch from := s.failedOverFrom; {
	case from != nil:
		from.StopFailover(now)
		s.fault(errors.New("failover: " + from.Name() + ": no route leads to " + decided +
			" by the header of failover.header; `weir render` shows the one that is needed"))
	case s.request.Decider() == nil:
		if s.plugin.cluster(name) == nil {
			return // neither has a policy
		}
		s.plugin.route.Watch()
		fallthrough
	default:
		s.plugin.observe.Misrouted(observe.Misroute{Decided: decided, Went: went, ByClient: s.rerouted}, now)
	}
	s.request.Misrouted(s.plugin.breakerOf(went), now)
}

// breakerOf is a cluster for requests about which the policy of another one decided: it has the breaker of its policy
// alone, nil where that has none. What it shares with the cluster itself is the record.
func (p *Plugin) breakerOf(name string) *request.Cluster {
	if c, known := p.breakers[name]; known {
		return c
	}
	if len(p.breakers) >= maxClusters {
		clear(p.breakers)
	}
	var c *request.Cluster
	if rules := p.document.For(name); rules != nil && p.cluster([]byte(name)) != nil && rules.CircuitBreaker != nil {
		alone := &policy.Policy{Mode: rules.Mode, CircuitBreaker: rules.CircuitBreaker}
		c = request.NewCluster(name, alone, p.worker, nil, p, p.observe.NewCluster(name, alone))
	}
	p.breakers[name] = c
	return c
}
