package gateway

import (
	"errors"
	"net"
	"strconv"

	"github.com/weir-mesh/weir/envoy/kube"
)

// Named is a policy, a JSON object, in which the names of the upstreams are Envoy Gateway's: as keys of clusters and in
// failover.to. The cluster of Redis keeps its name: the EnvoyPatchPolicy adds one with it.
func (o Options) Named(document []byte) []byte {
	return kube.Named(document, kube.NameIn(o.Upstreams), "")
}

// checkPolicy returns what can't be enforced in Envoy Gateway, all at once.
func (o Options) checkPolicy() error {
	return errors.Join(kube.CheckPolicy(controlPlane, o.Document, o.Upstreams), o.CheckBridge(), o.checkRedis())
}

func (o Options) checkRedis() error {
	if o.Document.Redis == nil || o.Bridge != "" || o.Redis != "" || o.NoPatches {
		return nil
	}
	return errors.New("the policy has a `redis` section: add --bridge IMAGE, which deploys a bridge, or --redis HOST:PORT")
}

const bridgeOpenComment = `
The policy has no redis.token, so the bridge takes calls from everybody who reaches it: let a NetworkPolicy say who does,
or write redis: {token: ${WEIR_BRIDGE_TOKEN:-}} and render with --host-env WEIR_BRIDGE_TOKEN.`

func (o Options) bridge() kube.Bridge {
	b := o.NewBridge()
	b.OpenComment = bridgeOpenComment
	return b
}

// redisAddress is where the bridge is, and empty without one.
func (o Options) redisAddress() string {
	if o.Bridge != "" {
		return net.JoinHostPort(o.bridge().Host(), strconv.Itoa(kube.BridgePort))
	}
	return o.Redis
}
