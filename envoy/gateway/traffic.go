package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/policy"
)

const trafficComment = `The delays between retries and the hosts that are left out, for the rules of %[1]s %[2]s. The filter tells Envoy for each request how
often to retry, by the budget of the policy: numRetries 0 and a trigger without codes keep Envoy Gateway from retrying beside it. A
rule with retries of its own, or with a BackendTrafficPolicy of yours for the same route, would retry beside the policy: write these
settings there, and leave this object out.`

func commentf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

const (
	healthPercent = 50 // see envoy/render/health.go
	ejectionSweep = "1s"
)

// route is an HTTPRoute or GRPCRoute.
type route struct{ kind, namespace, name string }

// trafficPolicies are one for each route whose rules have retries or a circuit breaker. Envoy Gateway names a rule by its name,
// which the policy does not know: rules of one route that differ are left to the user.
func (o Options) trafficPolicies() (list []kube.Object, warnings []string) {
	settings := map[route]m{}
	differ := map[route]bool{}
	for _, entry := range o.Document.Clusters {
		p := entry.Policy
		spec := traffic(p)
		if p.Mode != policy.ModeEnforce || len(spec) == 0 { // shadow changes nothing
			continue
		}
		c, ok := ParseCluster(entry.Pattern)
		if !ok {
			warnings = append(warnings, unwritten("clusters."+entry.Pattern))
			continue
		}
		r := route{c.Kind, c.Namespace, c.Name}
		if other, seen := settings[r]; seen && !same(other, spec) {
			differ[r] = true
		}
		settings[r] = spec
	}
	if d := o.Document.Default; d != nil && d.Mode == policy.ModeEnforce && len(traffic(d)) > 0 {
		warnings = append(warnings, unwritten("default"))
	}
	for _, r := range slices.SortedFunc(maps.Keys(settings), func(a, b route) int {
		return slices.Compare([]string{a.namespace, a.kind, a.name}, []string{b.namespace, b.kind, b.name})
	}) {
		if differ[r] {
			warnings = append(warnings, fmt.Sprintf("%s/%s/%s: its rules have different retries or breakers: write BackendTrafficPolicies for each, by sectionName", r.kind, r.namespace, r.name))
			continue
		}
		spec := settings[r]
		spec["targetRefs"] = []any{m{"group": "gateway.networking.k8s.io", "kind": kinds[r.kind], "name": r.name}}
		spec["mergeType"] = "StrategicMerge"                                                  // with the Gateway's
		suffix := map[string]string{"httproute": "-", "grpcroute": "-grpc-"}[r.kind] + r.name // both kinds may have the name
		object := o.object("BackendTrafficPolicy", suffix, commentf(trafficComment, kinds[r.kind], r.name), spec)
		object.Metadata.Namespace = r.namespace
		list = append(list, object)
	}
	return list, warnings
}

func same(a, b m) bool {
	first, _ := json.Marshal(a)
	second, _ := json.Marshal(b)
	return string(first) == string(second)
}

func unwritten(path string) string {
	return path + ": the delays between its retries and its outlier detection are not written, which need the name of a route, httproute/NAMESPACE/ROUTE/rule/*; write a BackendTrafficPolicy yourself"
}

// traffic is what a policy needs of a BackendTrafficPolicy.
func traffic(p *policy.Policy) m {
	spec := m{}
	if render.RouterRetries(p.Retry) {
		spec["retry"] = m{
			"numRetries": 0,
			"retryOn":    m{"triggers": []string{"retriable-status-codes"}}, // without codes: none of its own
			"perRetry":   m{"backOff": m{"baseInterval": duration(p.Retry.BaseDelay), "maxInterval": duration(p.Retry.MaxDelay)}},
		}
	}
	if b := p.CircuitBreaker; b != nil {
		spec["healthCheck"] = m{
			"panicThreshold": healthPercent,
			"passive": m{
				"consecutive5XxErrors": b.FailureThreshold,
				"baseEjectionTime":     duration(b.RecoveryTimeout),
				"interval":             ejectionSweep,
				"maxEjectionPercent":   healthPercent,
			},
		}
	}
	return spec
}

// duration is Gateway API's: up to four numbers of five digits, the smallest a millisecond. 100 hours are 100h0m0s in Go.
func duration(d time.Duration) string {
	d = max(d.Truncate(time.Millisecond), time.Millisecond)
	seconds, milliseconds := d/time.Second, d%time.Second/time.Millisecond
	hours := seconds / 3600
	text := ""
	for _, part := range []struct {
		n    time.Duration
		unit string
	}{{hours, "h"}, {seconds % 3600 / 60, "m"}, {seconds % 60, "s"}, {milliseconds, "ms"}} {
		if part.n > 0 {
			text += fmt.Sprintf("%d%s", part.n, part.unit)
		}
	}
	return text
}
