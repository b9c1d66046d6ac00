package imported

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/policy"
)

// scope is what the descriptors above say.
type scope struct {
	cluster string // "": none was named; *: each
	key     []string
	problem string // why no limit below can be converted
}

const eachCluster = "*"

// entry adds one key of a descriptor, with its value or for all values.
func (i *importer) entry(s scope, key, value string) scope {
	part, known := i.actions.parts[key]
	problem := i.actions.problems[key]
	constant := i.actions.constants[key+"="+value]
	s.key = slices.Clone(s.key)
	switch {
	case s.problem != "":
	case problem != "":
		s.problem = fmt.Sprintf("the key %s %s", key, problem)
	case known && part == clusterPart && s.cluster != "":
		s.problem = "names two clusters"
	case known && part == clusterPart:
		s.cluster = or(value, eachCluster)
	case known && value != "":
		s.problem = fmt.Sprintf("is for one value of %s, %s: a policy counts all values by one limit", key, value)
	case known:
		s.key = append(s.key, part.asYAML())
	case len(constant) > 0 && s.cluster == "":
		s.cluster, s.problem = constant.only(i.actions.routes)
	default:
		s.problem = fmt.Sprintf("Envoy's configuration says what the key %s is: name it by --envoy FILE, or write --key %s=PART", key, key)
	}
	return s
}

func (i *importer) descriptors(list *policyfile.Node, path string, s scope) {
	for n, d := range items(list) {
		path := policy.IndexPath(path, n)
		below := i.entry(s, text(d.Get("key")), text(d.Get("value")))
		if truth(d.Get("share_threshold")) && below.problem == "" {
			below.problem = "is one limit for all values (share_threshold), and a policy counts each by itself"
		}
		i.note(d, path, []string{"key", "value", "rate_limit", "descriptors", "shadow_mode", "share_threshold"}, map[string]string{
			"detailed_metric": "Weir's metrics are by cluster", "value_to_metric": "Weir's metrics are by cluster",
		})
		if r := d.Get("rate_limit"); r != nil && r.Kind != policyfile.Null {
			i.rateLimit(r, path+".rate_limit", below, truth(d.Get("shadow_mode")))
		}
		i.descriptors(d.Get("descriptors"), path+".descriptors", below)
	}
}

// windows are the units of the service that a policy can have: its windows last up to a day.
var windows = map[string]string{"second": "1s", "minute": "60s", "hour": "1h", "day": "24h"}

const maxRequests = 10_000_000

func (i *importer) rateLimit(r *policyfile.Node, path string, s scope, shadow bool) {
	i.note(r, path, []string{"unit", "requests_per_unit", "unlimited", "name"}, map[string]string{
		"replaces": "a policy has one limit for a cluster, which replaces none",
	})
	unit := strings.ToLower(text(r.Get("unit")))
	window, known := windows[unit]
	requests, err := strconv.ParseInt(text(r.Get("requests_per_unit")), 10, 64)
	unlimited := truth(r.Get("unlimited"))
	l := limit{cluster: s.cluster, at: r, path: path, key: s.key, window: window, requests: requests, mesh: true, unlimited: unlimited}
	if shadow {
		l.mode = "shadow"
	}
	switch {
	case s.problem != "":
		i.leave(r, path, "%s", s.problem)
		return
	case unlimited && len(s.key) > 0:
		i.leave(r, path, "is an exception for some requests of a cluster, and a policy has none")
		return
	case unlimited:
		l.window, l.mesh = "", false
	case !known:
		i.leave(r, path, "is by the %s: a window of a policy is at most 24h", or(unit, "unit that is missing"))
		return
	case err == nil && requests == 0:
		i.leave(r, path, "admits nothing: refuse these requests by a route or by RBAC")
		return
	case err != nil || requests < 0 || requests > maxRequests:
		i.leave(r, path, "requests_per_unit must be a whole number up to %d, got %q", maxRequests, text(r.Get("requests_per_unit")))
		return
	}
	i.ofCluster(l)
}

// ofCluster keeps a limit if it has a cluster, or one is chosen for those without.
func (i *importer) ofCluster(l limit) {
	switch {
	case l.cluster == eachCluster:
		l.cluster = ""
	case l.cluster == "" && i.options.Cluster == "":
		i.leave(l.at, l.path, "names no cluster: write --cluster NAME for the one whose requests it counts")
		return
	case l.cluster == "":
		l.cluster = i.options.Cluster
	}
	i.limits = append(i.limits, l)
}
