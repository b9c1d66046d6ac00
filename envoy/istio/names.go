package istio

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/envoy/kube"
)

// Cluster is an Istio cluster's name in parts: outbound|443|v2|api.example.com. A part of a pattern may hold a *.
type Cluster struct {
	Direction string // outbound, inbound, inbound-vip
	Port      string
	Subset    string // of a DestinationRule, or empty
	Host      string // empty of an inbound cluster
}

// ParseCluster reads a cluster's name or pattern. ok is false if it has not four parts: a pattern such as *example.com.
func ParseCluster(name string) (c Cluster, ok bool) {
	parts := strings.Split(name, "|")
	if len(parts) != 4 {
		return Cluster{}, false
	}
	return Cluster{parts[0], parts[1], parts[2], parts[3]}, true
}

func (c Cluster) String() string {
	return c.Direction + "|" + c.Port + "|" + c.Subset + "|" + c.Host
}

// port is the number, and 0 for a pattern.
func (c Cluster) port() uint32 {
	n, err := strconv.ParseUint(c.Port, 10, 16)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// controlPlane is Istio. Of the names of its clusters inbound-vip|80|http|cart.shop.svc.cluster.local leads from a waypoint to the
// pods of a service, outbound_.443_._.api.example.com from an east-west gateway.
var controlPlane = kube.ControlPlane{
	Name:     "Istio",
	Prefixes: []string{"outbound|", "outbound_.", "inbound|", "inbound-vip|"},
	Others:   []string{"PassthroughCluster", "InboundPassthroughCluster", "BlackHoleCluster"},
	Names:    "outbound|PORT|SUBSET|HOST, inbound|PORT|| and the like",
	Write:    "outbound|PORT||HOST, *||HOST or inbound|PORT||",
	Upstream: "HOST:PORT",
	FailoverTo: func(name string) bool {
		c, ok := ParseCluster(name)
		return ok && c.Direction == outbound && c.port() > 0
	},
	Target: "outbound cluster of Istio", TargetUpstream: "HOST:PORT",
	Files: true,
}

// Upstream is what a name in the policy stands for in Istio.
type Upstream = kube.Upstream[Cluster]

// ParseUpstream reads NAME=HOST:PORT, NAME=HOST:PORT/SUBSET or, for what a workload serves itself, NAME=inbound:PORT.
func ParseUpstream(s string) (Upstream, error) {
	name, address, found := strings.Cut(s, "=")
	if !found || name == "" {
		return Upstream{}, fmt.Errorf("upstream %q: want NAME=HOST:PORT", s)
	}
	address, subset, _ := strings.Cut(address, "/")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return Upstream{}, fmt.Errorf("upstream %q: want NAME=HOST:PORT: %w", s, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return Upstream{}, fmt.Errorf("upstream %q: port must be between 1 and 65535, got %q", s, port)
	}
	c := Cluster{Direction: outbound, Port: port, Subset: subset, Host: host}
	switch {
	case host == inbound && subset == "":
		c = Cluster{Direction: inbound, Port: port}
	case host == "" || host == inbound || strings.ContainsAny(host+subset, "*|\"\\ \t\r\n") || strings.Contains(subset, "/"):
		return Upstream{}, fmt.Errorf("upstream %q: %q is not the host of a service or ServiceEntry", s, host)
	}
	return Upstream{Name: name, Cluster: c}, nil
}

const (
	outbound = "outbound"
	inbound  = "inbound"
)
