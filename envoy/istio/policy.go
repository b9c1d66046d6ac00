package istio

import (
	"errors"

	"github.com/weir-mesh/weir/envoy/kube"
)

// Named is a policy, a JSON object, in which the names of the upstreams are Istio's: as keys of clusters, in failover.to
// and as redis.cluster. What can't be read stays as it is; the policy's reader reports why.
func (o Options) Named(document []byte) []byte {
	return kube.Named(document, kube.NameIn(o.Upstreams), o.redisCluster())
}

// checkPolicy returns what can't be enforced in Istio, all at once.
func (o Options) checkPolicy() error {
	return errors.Join(kube.CheckPolicy(controlPlane, o.Document, o.Upstreams), o.CheckBridge(), o.checkRedis(), o.checkChosen())
}
