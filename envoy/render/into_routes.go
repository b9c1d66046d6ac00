package render

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/header"
)

// intoRoutes puts what retries and failover need into the routes of an envoy.yaml:
//
//	retry, driver envoy   into retry_policy of each route to the cluster: the delays. Into the cluster: max_retries
//	failover              before each route to the cluster a copy of it for each other cluster, which matches failover.header too
//
// A request that matches the copy would have gone by the route that it is a copy of, since the file's own routes don't know the header.
type intoRoutes struct {
	document *policy.Document
	static   *yaml.Node
	clusters map[string]*yaml.Node // of static_resources
	others   bool                  // clusters come from a control plane, too
	listener *yaml.Node            // lds_config, from where listeners come, too; nil: all are in the file
	reached  map[string]bool       // clusters that a route leads to
	copied   map[string]bool       // clusters that only a copy for failover leads to, or one of the file's routes too
	needs    *policy.Policy        // one with retry or failover, which acts where one of them does; nil: none
	errs     []error
	warnings []string
}

func newIntoRoutes(whole, static *yaml.Node, o Options) *intoRoutes {
	e := &intoRoutes{document: o.Document, static: static, clusters: map[string]*yaml.Node{}, reached: map[string]bool{}, copied: map[string]bool{}}
	for _, c := range items(member(static, "clusters")) {
		e.clusters[textIn(c, "name")] = c
	}
	dynamic := member(whole, "dynamic_resources")
	e.listener = member(dynamic, "lds_config")
	e.others = member(dynamic, "cds_config") != nil || member(dynamic, "ads_config") != nil
	return e
}

func (e *intoRoutes) fail(n *yaml.Node, format string, arguments ...any) {
	e.add(at(n, format, arguments...))
}

// add says each mistake once: the retry_policy of a virtual host may contradict the policy in each of its routes.
func (e *intoRoutes) add(err error) {
	if !slices.ContainsFunc(e.errs, func(said error) bool { return said.Error() == err.Error() }) {
		e.errs = append(e.errs, err)
	}
}

// object says that the file contradicts a policy. One in shadow does not act: there it is a warning, and what the file says stays.
func (e *intoRoutes) object(p *policy.Policy, n *yaml.Node, format string, arguments ...any) {
	err := at(n, format, arguments...)
	if p.Mode == policy.ModeShadow {
		e.warn("%s (in shadow nothing acts, so this is needed before mode: enforce)", err)
		return
	}
	e.add(err)
}

func (e *intoRoutes) warn(format string, arguments ...any) {
	if text := fmt.Sprintf(format, arguments...); !slices.Contains(e.warnings, text) {
		e.warnings = append(e.warnings, text)
	}
}

// put puts them into the routes of all connection managers.
func (e *intoRoutes) put(managers []*yaml.Node) {
	if e.document == nil {
		return
	}
	if r := e.document.Redis; r != nil && !e.has(r.Cluster) {
		e.warn("redis.cluster: the file has no cluster %s, so that limits of scope mesh would do without Redis; add the cluster of your Webdis or weir bridge", r.Cluster)
	}
	if e.listener != nil {
		e.warn("line %d: listeners that come by lds_config have no Weir: give the pieces to your control plane, as weir render filter without --into shows them", e.listener.Line)
	}
	e.unknown()
	e.names(managers)
	e.document.Each(func(_ string, p *policy.Policy) {
		if needsRoutes := RouterRetries(p.Retry) || p.Failover != nil; needsRoutes && p.Mode != policy.ModeOff && (e.needs == nil || p.Mode == policy.ModeEnforce) {
			e.needs = p
		}
	})
	if e.needs == nil {
		return
	}
	for _, m := range managers {
		config := member(m, "route_config")
		if config == nil {
			e.object(e.needs, m, "the routes of the connection manager %s come from a control plane (rds, scoped_routes), and the policy's retry or failover need some of their own: "+
				"leave out --into, and give the routes among the pieces to the control plane", textIn(m, "stat_prefix"))
			continue
		}
		if vhds := member(config, "vhds"); vhds != nil {
			e.object(e.needs, vhds, "virtual hosts of the connection manager %s come from a control plane (vhds), too, and the policy's retry or failover need routes of their own there: "+
				"leave out --into, and give the routes among the pieces to the control plane", textIn(m, "stat_prefix"))
		}
		for _, host := range items(member(config, "virtual_hosts")) {
			e.host(host)
		}
	}
	for _, c := range e.document.Clusters {
		switch {
		case strings.Contains(c.Pattern, "*") || e.reached[c.Pattern] || c.Policy.Mode != policy.ModeEnforce:
		case c.Policy.Failover != nil:
			e.errs = append(e.errs, fmt.Errorf("clusters.%s.failover: no route of the file has cluster: %s; write its routes by hand, as weir render filter without --into shows them", c.Pattern, c.Pattern))
		case RouterRetries(c.Policy.Retry) && e.has(c.Pattern) && !e.copied[c.Pattern]:
			e.warn("clusters.%s.retry: no route of the file has cluster: %s, so that retries there have Envoy's delays (25 to 250 ms)", c.Pattern, c.Pattern)
		}
	}
}

// unknown warns of clusters of the policy that the file has not: a name that is written in another way would limit nothing.
func (e *intoRoutes) unknown() {
	for _, c := range e.document.Clusters {
		if !strings.Contains(c.Pattern, "*") && !e.has(c.Pattern) {
			there := "it has none in static_resources"
			if len(e.clusters) > 0 {
				there = "its clusters are " + strings.Join(slices.Sorted(maps.Keys(e.clusters)), ", ")
			}
			e.warn("clusters.%s: the file has no cluster of this name, so that this part of the policy decides about nothing; %s", c.Pattern, there)
		}
	}
}

func (e *intoRoutes) has(cluster string) bool { return e.others || e.clusters[cluster] != nil }

// host changes the routes of a virtual host.
func (e *intoRoutes) host(host *yaml.Node) {
	if matcher := member(host, "matcher"); matcher != nil {
		e.object(e.needs, matcher, "the virtual host %s chooses its routes by a matcher, which --into can't change: leave out --into, and put the routes among the pieces there", textIn(host, "name"))
		return
	}
	list := member(host, "routes")
	var all []*yaml.Node
	for _, route := range items(list) {
		clusters := e.clustersOf(route)
		for _, cluster := range clusters {
			e.reached[cluster] = true
		}
		copies := e.failovers(host, route, clusters)
		e.retries(host, route, clusters, func(cluster string) *policy.Policy { return e.policyOf(route, cluster) })
		all = append(append(all, copies...), route)
	}
	if list != nil {
		list.Content = all
	}
}

// clustersOf are the clusters that a route leads to, as far as the file says it.
func (e *intoRoutes) clustersOf(route *yaml.Node) (clusters []string) {
	action := member(route, "route")
	if cluster := textIn(action, "cluster"); cluster != "" {
		return []string{cluster}
	}
	weighted := items(member(member(action, "weighted_clusters"), "clusters"))
	for _, w := range weighted {
		if name := textIn(w, "name"); name != "" { // else cluster_header
			clusters = append(clusters, name)
		}
	}
	if action != nil && (len(clusters) == 0 || len(clusters) < len(weighted)) {
		e.warn("line %d: which cluster this route leads to is known only when a request comes: put the policy's retry and failover there by hand, as weir render filter without --into shows them", route.Line)
	}
	return clusters
}

// policyOf is the policy for requests of a route to a cluster: one by name where the metadata say so.
func (e *intoRoutes) policyOf(route *yaml.Node, cluster string) *policy.Policy {
	for _, of := range []*yaml.Node{route, e.clusters[cluster]} {
		if name := policyName(of); name != nil {
			if p := e.document.Named(name.Value); p != nil {
				return unlessOff(p)
			}
		}
	}
	return e.ownPolicy(cluster)
}

// ownPolicy is the policy for requests that fail over to a cluster: the filter does not know its metadata and those of the route.
func (e *intoRoutes) ownPolicy(cluster string) *policy.Policy {
	return unlessOff(policyOf(e.document, cluster))
}

// unlessOff is a policy, or one without sections where its mode is off.
func unlessOff(p *policy.Policy) *policy.Policy {
	if p.Mode == policy.ModeOff {
		return &policy.Policy{}
	}
	return p
}

// policyName is the name of a policy in the metadata of a route or cluster, nil where there is none.
func policyName(of *yaml.Node) *yaml.Node {
	return member(member(member(member(of, "metadata"), "filter_metadata"), filterName), "policy")
}

// names warns of policies by name that are named and not there, and of those that are there and not named.
func (e *intoRoutes) names(managers []*yaml.Node) {
	all, elsewhere := slices.Collect(maps.Values(e.clusters)), e.others || e.listener != nil
	for _, m := range managers {
		config := member(m, "route_config")
		elsewhere = elsewhere || config == nil || member(config, "vhds") != nil
		for _, host := range items(member(config, "virtual_hosts")) {
			all = append(all, items(member(host, "routes"))...)
		}
	}
	var named []string
	for _, of := range all {
		name := policyName(of)
		if name == nil {
			continue
		}
		named = append(named, name.Value)
		if e.document.Named(name.Value) == nil {
			e.warn("line %d: the metadata name the policy %s, and the policy document has no such policy under policies: the cluster's own policy would decide", name.Line, name.Value)
		}
	}
	for _, p := range e.document.Policies {
		if !elsewhere && !slices.Contains(named, p.Name) {
			e.warn("policies.%s: no route or cluster of the file names it by its metadata (filter_metadata: {weir: {policy: %s}}), so that it decides about nothing", p.Name, p.Name)
		}
	}
}

// failovers are the routes by which a route's requests fail over.
func (e *intoRoutes) failovers(host, route *yaml.Node, clusters []string) (copies []*yaml.Node) {
	for _, cluster := range clusters {
		p := e.policyOf(route, cluster)
		f := p.Failover
		if f == nil {
			continue
		}
		for _, target := range f.To {
			switch action := member(route, "route"); {
			case target == cluster || leadsBy(host, f.Header, target):
			case !e.has(target):
				e.object(p, route, "requests of this route fail over from %s to %s, and the file has no cluster %s: add it", cluster, target, target)
			case member(action, "weighted_clusters") != nil:
				e.object(p, route, "this route has weighted_clusters, and the cluster %s fails over to %s: %s", cluster, target, byHand(f.Header, target))
			case member(action, "host_rewrite_literal") != nil:
				e.object(p, member(action, "host_rewrite_literal"), "this route to %s sets the host to %q, and which one %s serves is not known: %s",
					cluster, textIn(action, "host_rewrite_literal"), target, byHand(f.Header, target))
			default:
				c := failoverCopy(route, f.Header, target)
				e.retries(host, c, []string{target}, e.ownPolicy)
				copies = append(copies, c)
				e.copied[target] = true
			}
		}
	}
	return copies
}

// byHand is how a user writes a route for failover.
func byHand(name, target string) string {
	return fmt.Sprintf("write the route to %s by hand, before this one: a copy with match.headers: [{name: %s, string_match: {exact: %s}}] and request_headers_to_remove: [%s]", target, name, target, name)
}

// leadsBy reports whether a virtual host has a route that matches this header's value: its owner has written it.
func leadsBy(host *yaml.Node, name, value string) bool {
	return slices.ContainsFunc(items(member(host, "routes")), func(route *yaml.Node) bool {
		return slices.ContainsFunc(items(member(member(route, "match"), "headers")), func(h *yaml.Node) bool {
			return header.Alike(strings.ToLower(textIn(h, "name")), name) && (textIn(member(h, "string_match"), "exact") == value || textIn(h, "exact_match") == value)
		})
	})
}

// failoverCopy is a copy of a route, for requests that the filter has given this header.
func failoverCopy(route *yaml.Node, name, target string) *yaml.Node {
	c := withoutComments(clone(route))
	if own := textIn(c, "name"); own != "" {
		set(c, "name", textNode(own+"/"+target))
	}
	appendIn(objectIn(c, "match"), "headers", listNode(objectNode(
		textNode("name"), textNode(name),
		textNode("string_match"), objectNode(textNode("exact"), textNode(target)),
	)))
	set(member(c, "route"), "cluster", textNode(target))
	// The header is only for the choice of the route; upstream must not see it.
	appendIn(c, "request_headers_to_remove", listNode(textNode(name)))
	return c
}

func withoutComments(n *yaml.Node) *yaml.Node {
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	for _, child := range n.Content {
		withoutComments(child)
	}
	return n
}

// ownRetryFields are those of a route's retry_policy that go together with the policy's retry: to which host it goes.
var ownRetryFields = []string{"retry_host_predicate", "host_selection_retry_max_attempts", "retry_priority", "retry_options_predicates", "per_try_idle_timeout"}

// retries puts the delays between retries into a route.
func (e *intoRoutes) retries(host, route *yaml.Node, clusters []string, policyOf func(cluster string) *policy.Policy) {
	p, of := e.retryOf(route, clusters, policyOf)
	if p == nil {
		return
	}
	action := member(route, "route")
	own, inherited := member(action, "retry_policy"), false
	if own == nil {
		own, inherited = member(host, "retry_policy"), true
	}
	for _, in := range []*yaml.Node{action, host} {
		if typed := member(in, "retry_policy_typed_config"); typed != nil {
			e.object(p, typed, "this retry_policy_typed_config would not count beside the delays of the policy of %s: write it as retry_policy, or leave out retry", of)
			return
		}
	}
	backOff, err := nodeOf(BackOff(p.Retry))
	if err != nil {
		e.errs = append(e.errs, err)
		return
	}
	if !e.retriesAgree(own, backOff, p, of) {
		return
	}
	merged := objectNode()
	if own != nil && inherited { // a route's retry_policy takes the place of the virtual host's
		merged = withoutComments(clone(own))
		set(action, "retry_policy", merged)
	} else if own != nil {
		merged = own
	} else {
		set(action, "retry_policy", merged)
	}
	for name, value := range members(backOff) {
		set(merged, name, value)
	}
	high := textIn(action, "priority") == "HIGH" || textIn(action, "priority") == "1"
	for _, cluster := range clusters {
		e.unlimited(cluster, high)
	}
}

// retryOf is the policy with the section retry of the clusters that a route leads to, and the name of one of them; nil where the
// router retries none of them.
func (e *intoRoutes) retryOf(route *yaml.Node, clusters []string, policyOf func(cluster string) *policy.Policy) (p *policy.Policy, of string) {
	for _, cluster := range clusters {
		one := policyOf(cluster)
		switch {
		case !RouterRetries(one.Retry):
		case p != nil && !proto.Equal(BackOff(p.Retry), BackOff(one.Retry)):
			e.fail(route, "this route has weighted_clusters, and %s and %s have different delays between retries, of which a route has one: give them one base_delay and max_delay", of, cluster)
			return nil, ""
		default:
			p, of = one, cluster
		}
	}
	return p, of
}

// retriesAgree reports whether a retry_policy of the file says nothing that the policy's retry says.
func (e *intoRoutes) retriesAgree(own, backOff *yaml.Node, p *policy.Policy, of string) bool {
	agree := true
	for name, value := range members(own) {
		if slices.Contains(ownRetryFields, name) || name == "per_try_timeout" && p.Retry.PerTryTimeout == 0 || same(value, member(backOff, name)) {
			continue
		}
		agree = false
		e.object(p, value, "%s of this retry_policy and the policy's retry of the cluster %s contradict each other: remove %s here, where the policy's %s counts, or remove retry from the policy",
			name, of, name, policyKeyOf(name))
	}
	return agree
}

// policyKeyOf is the key of the policy's retry that says what a field of a retry_policy does.
func policyKeyOf(field string) string {
	switch field {
	case "num_retries":
		return "max_attempts"
	case "per_try_timeout":
		return "per_try_timeout"
	case "retry_back_off", "rate_limited_retry_back_off":
		return "base_delay and max_delay"
	default:
		return "retry_on"
	}
}

// same reports whether two values are written with the same scalars.
func same(a, b *yaml.Node) bool {
	if a == nil || b == nil || a.Kind != b.Kind || len(a.Content) != len(b.Content) || a.Value != b.Value {
		return a == b
	}
	if a.Kind == yaml.MappingNode {
		for name, value := range members(a) {
			if !same(value, member(b, name)) {
				return false
			}
		}
		return true
	}
	return slices.EqualFunc(a.Content, b.Content, same)
}

// unlimited lets the policy's budget be the only bound of a cluster's retries, as unlimitedRetries does. Requests of routes with
// priority: HIGH have bounds of their own.
func (e *intoRoutes) unlimited(cluster string, high bool) {
	c := e.clusters[cluster]
	if c == nil {
		e.warn("the cluster %s is not in static_resources: give it circuit_breakers: {thresholds: [{max_retries: %d}]}, since Envoy's own bound is 3 retries at a time", cluster, uint32(math.MaxUint32))
		return
	}
	all := &yaml.Node{}
	all.SetString(strconv.FormatUint(math.MaxUint32, 10))
	all.Tag = "!!int"
	breakers := objectIn(c, "circuit_breakers")
	for _, t := range items(member(breakers, "thresholds")) {
		if p := textIn(t, "priority"); (p == "HIGH" || p == "1") != high {
			continue
		}
		for _, name := range []string{"max_retries", "retry_budget"} {
			if own := member(t, name); own != nil {
				if own.Line > 0 { // else it was set for another route
					e.warn("line %d: the cluster %s has a %s of its own, which bounds its retries besides the policy's budget", own.Line, cluster, name)
				}
				return
			}
		}
		set(t, "max_retries", all)
		return
	}
	threshold := objectNode(textNode("max_retries"), all)
	if high {
		threshold = objectNode(textNode("priority"), textNode("HIGH"), textNode("max_retries"), all)
	}
	appendIn(breakers, "thresholds", listNode(threshold))
}
