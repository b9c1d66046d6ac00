package gateway

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/policy"
)

// Named is a policy, a JSON object, in which the names of the upstreams are Envoy Gateway's: as keys of clusters and in
// failover.to. The cluster of Redis keeps its name: the EnvoyPatchPolicy adds one with it.
func (o Options) Named(document []byte) []byte { return kube.Named(document, o.clusterName, "") }

// clusterName is Envoy Gateway's name for a name in the policy, which may be that name already.
func (o Options) clusterName(name string) string {
	for _, u := range o.Upstreams {
		if u.Name == name {
			return u.Cluster.String()
		}
	}
	return name
}

// checkPolicy returns what can't be enforced in Envoy Gateway, all at once.
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
			errs = append(errs, fmt.Errorf("%s.retry: driver filter needs an internal listener, which Envoy Gateway has not: write driver: envoy", path))
		}
		if p.Failover == nil {
			return
		}
		for _, to := range p.Failover.To {
			if c, ok := ParseCluster(to); !ok || !c.exact() {
				errs = append(errs, fmt.Errorf("%s.failover.to: %s is no rule of a route: add --upstream %s=NAMESPACE/ROUTE/RULE", path, to, to))
			}
		}
	})
	return errors.Join(append(errs, o.checkRedis())...)
}

func (o Options) checkRedis() error {
	redis, given := o.Document.Redis, o.Bridge != "" || o.Redis != ""
	switch {
	case redis == nil && !given:
		return nil
	case redis == nil:
		return errors.New("--bridge or --redis is given, but the policy has no `redis` section: add `redis: {}`")
	case o.Bridge != "" && redis.Dialect != policy.DialectUpstash:
		return errors.New("redis.dialect: weir bridge speaks upstash; write redis: {dialect: upstash}")
	case !given && !o.NoPatches:
		return errors.New("the policy has a `redis` section: add --bridge IMAGE, which deploys a bridge, or --redis HOST:PORT")
	}
	return nil
}

const bridgeOpenComment = `
The policy has no redis.token, so the bridge takes calls from everybody who reaches it: let a NetworkPolicy say who does,
or write redis: {token: ${WEIR_BRIDGE_TOKEN:-}} and render with --host-env WEIR_BRIDGE_TOKEN.`

func (o Options) bridge() kube.Bridge {
	return kube.Bridge{
		Instance: o.Name, Namespace: o.Namespace, Image: o.Bridge, Secret: o.BridgeSecret,
		Token: kube.HasToken(o.Policy, o.Document, o.HostEnv), OpenComment: bridgeOpenComment,
	}
}

// redisAddress is where the bridge is, and empty without one.
func (o Options) redisAddress() string {
	if o.Bridge != "" {
		return net.JoinHostPort(o.bridge().Host(), strconv.Itoa(kube.BridgePort))
	}
	return o.Redis
}
