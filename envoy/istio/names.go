package istio

import (
	"fmt"
	"net"
	"strconv"
	"strings"
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

// otherClusters are the names of Istio's clusters that have no four parts.
var otherClusters = [...]string{"PassthroughCluster", "InboundPassthroughCluster", "BlackHoleCluster"}

// prefixes begin the names of all clusters of sidecars, gateways and waypoints: inbound-vip|80|http|cart.shop.svc.cluster.local
// leads from a waypoint to the pods of a service, outbound_.443_._.api.example.com from an east-west gateway.
var prefixes = [...]string{"outbound|", "outbound_.", "inbound|", "inbound-vip|"}

// checkPattern returns why a name or pattern matches no cluster of Istio, or nil.
func checkPattern(pattern string) error {
	fixed, _, wild := strings.Cut(pattern, "*")
	for _, other := range otherClusters {
		if pattern == other || wild && strings.HasPrefix(other, fixed) {
			return nil
		}
	}
	for _, prefix := range prefixes {
		if strings.HasPrefix(prefix, fixed) && wild || strings.HasPrefix(pattern, prefix) {
			return nil
		}
	}
	if !wild {
		return fmt.Errorf("no cluster of Istio is named %[1]s: add --upstream %[1]s=HOST:PORT, or write outbound|PORT||HOST or inbound|PORT|| in the policy", pattern)
	}
	return fmt.Errorf("no cluster of Istio matches %s, since their names are outbound|PORT|SUBSET|HOST and inbound|PORT||: write outbound|*||HOST or *HOST", pattern)
}

// Upstream is what a name in the policy stands for in Istio.
type Upstream struct {
	Name    string
	Cluster Cluster
}

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
	return Upstream{name, c}, nil
}

const (
	outbound = "outbound"
	inbound  = "inbound"
)
