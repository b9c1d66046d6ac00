package gateway

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/envoy/kube"
)

// Cluster is a route's rule, from which Envoy Gateway makes a cluster: httproute/shop/pricing/rule/0.
// https://github.com/envoyproxy/gateway/blob/v1.9.0/internal/gatewayapi/helpers.go#L561
type Cluster struct {
	Kind      string // httproute or grpcroute
	Namespace string
	Name      string
	Rule      string // from 0, or * for all
}

func (c Cluster) String() string {
	return c.Kind + "/" + c.Namespace + "/" + c.Name + "/rule/" + c.Rule
}

// kinds are those of Gateway API whose requests a Wasm filter sees.
var kinds = map[string]string{"httproute": "HTTPRoute", "grpcroute": "GRPCRoute"}

// ParseCluster reads a cluster's name or pattern. ok is false if it is not that of a route's rules.
func ParseCluster(name string) (c Cluster, ok bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 5 || parts[3] != "rule" || kinds[parts[0]] == "" || strings.ContainsAny(parts[0]+parts[1]+parts[2], "*") {
		return Cluster{}, false
	}
	c = Cluster{parts[0], parts[1], parts[2], parts[4]}
	return c, parts[1] != "" && parts[2] != "" && (c.Rule == "*" || c.exact())
}

// exact says that the name is one cluster's, as failover.to needs.
func (c Cluster) exact() bool {
	_, err := strconv.ParseUint(c.Rule, 10, 16)
	return err == nil
}

// controlPlane is Envoy Gateway. With mergeBackends of an EnvoyProxy its clusters are backends.
var controlPlane = kube.ControlPlane{
	Name:     "Envoy Gateway",
	Prefixes: []string{"httproute/", "grpcroute/", "service/", "backend/", "serviceimport/"},
	Names:    "httproute/NAMESPACE/ROUTE/rule/0 and the like",
	Write:    "httproute/NAMESPACE/ROUTE/rule/0",
	Upstream: "NAMESPACE/ROUTE",
	FailoverTo: func(name string) bool {
		c, ok := ParseCluster(name)
		return ok && c.exact()
	},
	Target: "rule of a route", TargetUpstream: "NAMESPACE/ROUTE/RULE",
}

// Upstream is what a name in the policy stands for in Envoy Gateway.
type Upstream = kube.Upstream[Cluster]

// ParseUpstream reads NAME=NAMESPACE/ROUTE, of all rules of an HTTPRoute, NAME=NAMESPACE/ROUTE/RULE, or either with
// grpcroute/ before NAMESPACE.
func ParseUpstream(s string) (Upstream, error) {
	name, route, found := strings.Cut(s, "=")
	wrong := fmt.Errorf("upstream %q: want NAME=NAMESPACE/ROUTE or NAME=NAMESPACE/ROUTE/RULE, with grpcroute/ before NAMESPACE for a GRPCRoute", s)
	if !found || name == "" {
		return Upstream{}, wrong
	}
	parts := strings.Split(route, "/")
	kind := "httproute"
	if kinds[parts[0]] != "" && len(parts) > 2 {
		kind, parts = parts[0], parts[1:]
	}
	if len(parts) == 2 {
		parts = append(parts, "*")
	}
	if len(parts) != 3 {
		return Upstream{}, wrong
	}
	c, ok := ParseCluster(Cluster{kind, parts[0], parts[1], parts[2]}.String())
	if !ok {
		return Upstream{}, wrong
	}
	return Upstream{Name: name, Cluster: c}, nil
}
