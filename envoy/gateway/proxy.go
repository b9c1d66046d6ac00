package gateway

import (
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"

	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/envoy/render"
)

const proxyComment = `Labels for Weir's metrics, and memory given back after a start or a reload: both are read once, so new proxies start with them. If the
Gateway or its class has an EnvoyProxy already, write this bootstrap into it; otherwise name this one in the Gateway:
  spec: {infrastructure: {parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: %s}}}
Without it the filter works, and a metric's labels stand in its name: weir_requests_total_cluster_=C;_decision_=allowed;`

// envoyProxy merges into the proxies' bootstrap. Envoy Gateway's own has stats_tags too, and a merge adds to a list.
func (o Options) envoyProxy() (kube.Object, error) {
	text, err := render.YAML(&bootstrapv3.Bootstrap{StatsConfig: render.StatsConfig(), MemoryAllocatorManager: render.MemoryRelease()})
	if err != nil {
		return kube.Object{}, err
	}
	return o.object("EnvoyProxy", "", commentf(proxyComment, o.Name), m{"bootstrap": m{"type": "Merge", "value": string(text)}}), nil
}
