package istio

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	networkingv1alpha3 "istio.io/api/networking/v1alpha3"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/policy"
)

const (
	serviceComment = `How requests to this host are routed:
  %[1]s
Without this object Istio retries twice by itself, beside the policy: up to three requests for one token of the limit.
%[2]sIf there is a VirtualService for this host already, the older one of the two holds: write retries: {attempts: 0}%[3]s
into yours, and leave this one out.`
	failoverComment = "While the breaker is open, the filter sends requests to another cluster by a header.\n"
	ruleComment     = `Hosts that fail on their own are left out, as soon as the breaker would open and for as long:
  %[1]s
With fewer than half of them well all are used, so that a probe of the breaker always has a host. If there is a
DestinationRule for this host already, write its trafficPolicy into yours, and leave this one out.`

	healthPercent = 50 // see envoy/render/health.go
	ejectionSweep = time.Second
)

// rule is what the policy says about one cluster of a host.
type rule struct {
	cluster Cluster
	policy  *policy.Policy
}

// hosts are the rules that act, by host, the most special one of a host first. What can't be written for a pattern is
// said in warnings.
func (o Options) hosts() (byHost map[string][]rule, warnings []string) {
	byHost = map[string][]rule{}
	if o.side() == SideServer {
		return byHost, nil
	}
	for _, entry := range o.Document.Clusters {
		c, parsed := ParseCluster(entry.Pattern)
		exact := parsed && !wild(c.Host) && c.Subset == "" && (c.port() > 0 || c.Port == "*")
		switch {
		case entry.Policy.Mode != policy.ModeEnforce || parsed && c.Direction != outbound: // shadow changes nothing
		case exact:
			byHost[c.Host] = append(byHost[c.Host], rule{c, entry.Policy})
		default:
			warnings = append(warnings, unwritten("clusters."+entry.Pattern, entry.Policy)...)
		}
	}
	if o.Document.Default != nil {
		warnings = append(warnings, unwritten("default", o.Document.Default)...)
	}
	for _, rules := range byHost {
		slices.SortFunc(rules, func(a, b rule) int { // a number before *
			return -cmp.Compare(a.cluster.port(), b.cluster.port())
		})
	}
	return byHost, warnings
}

// unwritten warns of what a policy has that belongs into routes which can't be named.
func unwritten(path string, p *policy.Policy) []string {
	var what []string
	if p.Retry != nil {
		what = append(what, "the delays between its retries")
	}
	if p.Failover != nil {
		what = append(what, "the routes of its failover")
	}
	if what == nil {
		return nil
	}
	return []string{fmt.Sprintf("%s: %s can't be written into Istio's routes, which only outbound|PORT||HOST and outbound|*||HOST name; write them yourself", path, strings.Join(what, " and "))}
}

// virtualServices are one for each host that the policy limits, retries or fails over.
func (o Options) virtualServices(byHost map[string][]rule) (list []Object) {
	for _, host := range slices.Sorted(maps.Keys(byHost)) {
		rules := byHost[host]
		if !slices.ContainsFunc(rules, func(r rule) bool {
			return r.policy.RateLimit != nil || r.policy.CircuitBreaker != nil || r.policy.Bulkhead != nil || r.policy.Retry != nil || r.policy.Failover != nil
		}) {
			continue
		}
		service := &networkingv1alpha3.VirtualService{Hosts: []string{host}, ExportTo: o.exportTo()}
		explain, also := "", ""
		for _, r := range rules {
			if r.policy.Failover != nil {
				explain, also = failoverComment, " and the routes with a match by header"
			}
			service.Http = append(service.Http, routes(r)...)
		}
		if rules[len(rules)-1].cluster.Port != "*" { // requests to the host's other ports, as without this object
			service.Http = append(service.Http, &networkingv1alpha3.HTTPRoute{Name: "other-ports", Route: destination(Cluster{Host: host})})
		}
		list = append(list, o.Object("networking.istio.io/v1", "VirtualService", "-"+host, fmt.Sprintf(serviceComment, host, explain, also), service))
	}
	return list
}

// exportTo keeps routes and rules to the namespace where the filter is.
func (o Options) exportTo() []string {
	if o.Namespace == o.RootNamespace {
		return nil // everywhere
	}
	return []string{"."}
}

// routes are those of failover, which match by the header that the filter sets, and the plain one.
func routes(r rule) (list []*networkingv1alpha3.HTTPRoute) {
	port := r.cluster.port()
	match := func(headers map[string]*networkingv1alpha3.StringMatch) []*networkingv1alpha3.HTTPMatchRequest {
		if port == 0 && headers == nil {
			return nil
		}
		return []*networkingv1alpha3.HTTPMatchRequest{{Port: port, Headers: headers}}
	}
	never := &networkingv1alpha3.HTTPRetry{Attempts: 0} // of Istio's own
	if f := r.policy.Failover; f != nil {
		for _, name := range f.To {
			to, _ := ParseCluster(name)
			list = append(list, &networkingv1alpha3.HTTPRoute{
				Name: "failover-" + to.Host,
				Match: match(map[string]*networkingv1alpha3.StringMatch{
					f.Header: {MatchType: &networkingv1alpha3.StringMatch_Exact{Exact: name}},
				}),
				Route:   destination(to),
				Headers: &networkingv1alpha3.Headers{Request: &networkingv1alpha3.Headers_HeaderOperations{Remove: []string{f.Header}}},
				Retries: never,
			})
		}
	}
	name := "any-port"
	if port > 0 {
		name = "port-" + r.cluster.Port
	}
	return append(list, &networkingv1alpha3.HTTPRoute{Name: name, Match: match(nil), Route: destination(r.cluster), Retries: never})
}

// destination is a host; without a port it is the one that the request was for.
func destination(c Cluster) []*networkingv1alpha3.HTTPRouteDestination {
	d := &networkingv1alpha3.Destination{Host: c.Host, Subset: c.Subset}
	if port := c.port(); port > 0 {
		d.Port = &networkingv1alpha3.PortSelector{Number: port}
	}
	return []*networkingv1alpha3.HTTPRouteDestination{{Destination: d}}
}

// destinationRules are one for each host with a circuit breaker.
func (o Options) destinationRules(byHost map[string][]rule) (list []Object) {
	for _, host := range slices.Sorted(maps.Keys(byHost)) {
		traffic := &networkingv1alpha3.TrafficPolicy{}
		for _, r := range byHost[host] {
			if r.policy.CircuitBreaker == nil {
				continue
			}
			detection := outlierDetection(r.policy.CircuitBreaker)
			if port := r.cluster.port(); port > 0 {
				traffic.PortLevelSettings = append(traffic.PortLevelSettings, &networkingv1alpha3.TrafficPolicy_PortTrafficPolicy{
					Port: &networkingv1alpha3.PortSelector{Number: port}, OutlierDetection: detection,
				})
			} else {
				traffic.OutlierDetection = detection
			}
		}
		if traffic.OutlierDetection == nil && traffic.PortLevelSettings == nil {
			continue
		}
		list = append(list, o.Object("networking.istio.io/v1", "DestinationRule", "-"+host, fmt.Sprintf(ruleComment, host),
			&networkingv1alpha3.DestinationRule{Host: host, TrafficPolicy: traffic, ExportTo: o.exportTo()}))
	}
	return list
}

// outlierDetection is that of envoy/render/health.go, as far as Istio has it: it counts 5xx, whatever
// expected_failures says.
func outlierDetection(b *policy.CircuitBreaker) *networkingv1alpha3.OutlierDetection {
	return &networkingv1alpha3.OutlierDetection{
		Consecutive_5XxErrors: wrapperspb.UInt32(uint32(b.FailureThreshold)),
		BaseEjectionTime:      durationpb.New(max(b.RecoveryTimeout, time.Millisecond)),
		Interval:              durationpb.New(ejectionSweep),
		MaxEjectionPercent:    healthPercent,
		MinHealthPercent:      healthPercent,
	}
}

// routePatches are the delays between retries, by host.
func routePatches(byHost map[string][]rule) (patches []routePatch) {
	for _, host := range slices.Sorted(maps.Keys(byHost)) {
		for _, r := range byHost[host] {
			if render.RouterRetries(r.policy.Retry) {
				patches = append(patches, routePatch{r.cluster, render.BackOff(r.policy.Retry)})
			}
		}
	}
	return patches
}

func wild(s string) bool { return s == "" || strings.Contains(s, "*") }
