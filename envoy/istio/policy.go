package istio

import (
	"errors"
	"fmt"
	"slices"

	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/policy"
)

// Named is a policy, a JSON object, in which the names of the upstreams are Istio's: as keys of clusters, in failover.to
// and as redis.cluster. What can't be read stays as it is; the policy's reader reports why.
func (o Options) Named(document []byte) []byte {
	return kube.Named(document, o.istioName, o.redisCluster())
}

// istioName is Istio's name for a name in the policy, which may be that name already.
func (o Options) istioName(name string) string {
	for _, u := range o.Upstreams {
		if u.Name == name {
			return u.Cluster.String()
		}
	}
	return name
}

// checkPolicy returns what can't be enforced in Istio, all at once.
func (o Options) checkPolicy() error {
	d := o.Document
	var errs []error
	if d.Admin || d.Attempts {
		errs = append(errs, errors.New("policy: admin and attempts are no policies for traffic; --weir-admin PORT adds the admin listener"))
	}
	for _, u := range o.Upstreams {
		if slices.ContainsFunc(d.Clusters, func(c policy.Cluster) bool { return c.Pattern == u.Name }) {
			errs = append(errs, fmt.Errorf("the policy has both %s and %s, which --upstream says are the same; remove one", u.Name, u.Cluster))
		}
	}
	for _, c := range d.Clusters {
		if err := checkPattern(c.Pattern); err != nil {
			errs = append(errs, err)
		}
	}
	d.Each(func(path string, p *policy.Policy) {
		if p.Retry != nil && p.Retry.Driver == policy.DriverFilter {
			errs = append(errs, fmt.Errorf("%s.retry: driver filter needs an internal listener, which a bootstrap of Istio can't have: write driver: envoy", path))
		}
		if p.Failover == nil {
			return
		}
		for _, to := range p.Failover.To {
			if c, ok := ParseCluster(to); !ok || c.Direction != outbound || c.port() == 0 {
				errs = append(errs, fmt.Errorf("%s.failover.to: %s is no outbound cluster of Istio: add --upstream %s=HOST:PORT", path, to, to))
			}
		}
	})
	return errors.Join(append(errs, o.checkRedis(), o.checkChosen())...)
}
