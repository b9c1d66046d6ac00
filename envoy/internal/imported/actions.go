package imported

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-mesh/weir/envoy/policyfile"
)

// Part is what a descriptor's key is in a policy: `header:NAME`, `query:NAME`, `cookie:NAME`, `client_ip`, `path`,
// `method`, or `cluster`, whose value is a cluster's name.
type Part string

// ParsePart reads a part.
func ParsePart(s string) (Part, error) {
	kind, name, named := strings.Cut(s, ":")
	known := slices.Contains([]string{"client_ip", "path", "method", "cluster"}, s)
	if !known && (!named || name == "" || !slices.Contains([]string{"header", "query", "cookie"}, kind)) {
		return "", fmt.Errorf("want header:NAME, query:NAME, cookie:NAME, client_ip, path, method or cluster, got %q", s)
	}
	return Part(s), nil
}

// asYAML is a part as an entry of `key`.
func (p Part) asYAML() string {
	if kind, name, named := strings.Cut(string(p), ":"); named && !strings.HasPrefix(string(p), "{") {
		return "{" + kind + ": " + scalar(name) + "}"
	}
	return string(p)
}

const clusterPart Part = "cluster"

// actions are what Envoy's rate_limits make descriptors of.
type actions struct {
	parts     map[string]Part
	problems  map[string]string // why a key is no part
	constants map[string]routes // KEY=VALUE of generic_key: the routes that make it
	routes    routes            // all of the file
}

func actionsOf(roots []*policyfile.Node, chosen map[string]Part) *actions {
	a := &actions{parts: map[string]Part{}, problems: map[string]string{}, constants: map[string]routes{}, routes: routes{}}
	for _, root := range roots {
		a.routes.count(root, "")
		a.search(root, "", nil)
	}
	for key, part := range map[string]Part{"remote_address": "client_ip", "destination_cluster": clusterPart} {
		if _, known := a.parts[key]; !known {
			a.parts[key] = part
		}
	}
	for key, part := range chosen {
		a.parts[key] = part
		delete(a.problems, key)
	}
	return a
}

// search looks for lists rate_limits, with the routes below or around them.
func (a *actions) search(n *policyfile.Node, name string, of routes) {
	if n == nil {
		return
	}
	if n.Get("rate_limits") != nil {
		if here := routesOf(n, name); len(here) > 0 {
			of = here
		}
		for _, r := range items(n.Get("rate_limits")) {
			for _, action := range items(r.Get("actions")) {
				a.add(action, of)
			}
		}
	}
	for _, m := range n.Members {
		a.search(m.Value, m.Name, of)
	}
	for _, item := range n.Items {
		a.search(item, name, of)
	}
}

func (a *actions) add(action *policyfile.Node, of routes) {
	for _, m := range action.Members {
		key := text(m.Value.Get("descriptor_key"))
		switch m.Name {
		case "request_headers":
			switch header := text(m.Value.Get("header_name")); {
			case header == ":path", header == ":method":
				a.part(key, Part(header[1:]))
			case strings.HasPrefix(header, ":"):
				a.problems[key] = "is made of " + header + ", which is no part of a policy's key"
			default:
				a.part(key, Part("header:"+header))
			}
		case "query_parameters":
			a.part(key, Part("query:"+text(m.Value.Get("query_parameter_name"))))
		case "remote_address":
			a.part("remote_address", "client_ip")
		case "destination_cluster":
			a.part("destination_cluster", clusterPart)
		case "masked_remote_address":
			four, six := or(text(m.Value.Get("v4_prefix_mask_len")), "32"), or(text(m.Value.Get("v6_prefix_mask_len")), "128")
			a.part("masked_remote_address", Part(fmt.Sprintf("{client_ip: {ipv4_prefix: %s, ipv6_prefix: %s}}", four, six)))
		case "generic_key":
			constant := or(key, "generic_key") + "=" + text(m.Value.Get("descriptor_value"))
			if a.constants[constant] == nil {
				a.constants[constant] = routes{}
			}
			for cluster, n := range of {
				a.constants[constant][cluster] += n
			}
		default:
			key = or(key, map[string]string{"header_value_match": "header_match", "query_parameter_value_match": "query_match"}[m.Name])
			a.problems[or(key, m.Name)] = "is made by Envoy's action " + m.Name + ", and a policy has nothing like it"
		}
	}
}

func (a *actions) part(key string, part Part) {
	if before, known := a.parts[key]; known && before != part {
		a.problems[key] = fmt.Sprintf("is %s by one action of Envoy and %s by another; choose by --key %s=PART", before, part, key)
	}
	a.parts[key] = part
}

func or(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func items(n *policyfile.Node) []*policyfile.Node {
	if n == nil {
		return nil
	}
	return n.Items
}

// routes are how many routes lead to each cluster.
type routes map[string]int

// routesOf counts the routes below a node, which is the member name of another.
func routesOf(n *policyfile.Node, name string) routes {
	all := routes{}
	all.count(n, name)
	return all
}

func (r routes) count(n *policyfile.Node, name string) {
	if n == nil {
		return
	}
	if cluster := text(n.Get("cluster")); name == "route" && cluster != "" {
		r[cluster]++
	}
	if name == "weighted_clusters" {
		for _, c := range items(n.Get("clusters")) {
			r[text(c.Get("name"))]++
		}
	}
	for _, m := range n.Members {
		r.count(m.Value, m.Name)
	}
	for _, item := range n.Items {
		r.count(item, name)
	}
}

// clusters are the names, in order.
func (r routes) clusters() []string { return slices.Sorted(maps.Keys(r)) }

// only is the one cluster of these routes, "" where there are several or none, and why a limit of these routes is none of
// a cluster: because all has other routes to it.
func (r routes) only(all routes) (cluster, problem string) {
	switch names := r.clusters(); {
	case len(names) > 1:
		return "", fmt.Sprintf("is one limit of several clusters, %s, each of which would have its own", strings.Join(names, ", "))
	case len(names) == 0:
		return "", ""
	default:
		if r[names[0]] < all[names[0]] {
			problem = fmt.Sprintf("is of %d of the %d routes to %s, and a policy's limit is of all requests of a cluster", r[names[0]], all[names[0]], names[0])
		}
		return names[0], problem
	}
}
