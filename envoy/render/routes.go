package render

import (
	"fmt"
	"slices"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// routes has a virtual host of the same name for each upstream; the first also matches every other host.
func routes(o Options) *routev3.RouteConfiguration {
	config := &routev3.RouteConfiguration{Name: "traffic"}
	for i, u := range o.Upstreams {
		domains := []string{u.Name, u.Name + ":*"}
		if i == 0 {
			domains = append(domains, "*")
		}
		config.VirtualHosts = append(config.VirtualHosts, &routev3.VirtualHost{
			Name:    u.Name,
			Domains: domains,
			Routes:  append(failoverRoutes(o, u.Name), route(o, u.Name, u.Name)),
		})
	}
	return config
}

// route sends every path to a cluster, with that cluster's back-off between retries.
//
// It sets no timeout: Envoy's default of 15 s applies, including retries and their delays, unless the policy's
// circuit_breaker.timeout sets another.
func route(o Options, name, cluster string) *routev3.Route {
	action := &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}}
	r := &routev3.Route{
		Name:   name,
		Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
		Action: &routev3.Route_Route{Route: action},
	}
	rewriteHost(action, o.upstream(cluster))
	if retry := policyOf(o.Document, cluster).Retry; RouterRetries(retry) {
		action.RetryPolicy = BackOff(retry)
	}
	return r
}

// failoverRoutes are for requests of this cluster while its breaker is open: the filter sets the header to the name of
// another cluster, Envoy chooses the route again, and one of these is the first that matches.
//
//	x-weir-cluster: aws_pricing_eu   →   route aws_pricing/aws_pricing_eu   →   cluster aws_pricing_eu
//	otherwise                        →   route aws_pricing                  →   cluster aws_pricing
func failoverRoutes(o Options, cluster string) (list []*routev3.Route) {
	failover := policyOf(o.Document, cluster).Failover
	if failover == nil {
		return nil
	}
	for _, target := range failover.To {
		if target == cluster {
			continue // a pattern has one list for all of its clusters
		}
		r := route(o, cluster+"/"+target, target)
		r.Match.Headers = []*routev3.HeaderMatcher{{
			Name: failover.Header,
			HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{
				MatchPattern: &matcherv3.StringMatcher_Exact{Exact: target},
			}},
		}}
		// The header is only for the choice of the route; upstream must not see it.
		r.RequestHeadersToRemove = []string{failover.Header}
		list = append(list, r)
	}
	return list
}

// checkFailover returns failover targets that are not among the upstreams.
func checkFailover(o Options) error {
	for _, u := range o.Upstreams {
		failover := policyOf(o.Document, u.Name).Failover
		if failover == nil {
			continue
		}
		for _, target := range failover.To {
			if !slices.ContainsFunc(o.Upstreams, func(u Upstream) bool { return u.Name == target }) {
				return fmt.Errorf("cluster %s fails over to %s, but no upstream has that name; add it", u.Name, target)
			}
		}
	}
	return nil
}
