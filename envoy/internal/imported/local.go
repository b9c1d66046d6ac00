package imported

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/policy"
)

// around are the routes around a filter's configuration, and whose it is.
type around struct {
	routes routes
	rank   rank
}

// search looks for local_ratelimit filters: in a list of filters, for all routes of it, and in typed_per_filter_config,
// for the routes beside and below it.
func (i *importer) search(n *policyfile.Node, path, name string, a around) (found bool) {
	if n == nil {
		return false
	}
	switch {
	case n.Get("http_filters") != nil:
		a = around{routesOf(n, name), ofFilter}
	case n.Get("typed_per_filter_config") == nil:
	case n.Get("weight") != nil:
		a = around{routes{text(n.Get("name")): 1}, ofRoute}
	case n.Get("route") != nil:
		a = around{routesOf(n, name), ofRoute}
	default:
		a = around{routesOf(n, name), ofHost}
	}
	switch filter, kind := filterOf(n); kind {
	case local:
		if filter != n {
			path += ".value"
		}
		i.local(filter, path, a)
		return true
	case network:
		i.leave(n, path, "limits connections, and a policy limits requests")
		return true
	case global:
		i.leave(n, path, "asks a rate limit service: import the file of its descriptors, with --envoy and this file")
		return true
	}
	for _, m := range n.Members {
		found = i.search(m.Value, policy.MemberPath(path, m.Name), m.Name, a) || found
	}
	for at, item := range n.Items {
		found = i.search(item, policy.IndexPath(path, at), name, a) || found
	}
	return found
}

type filterKind uint8

const (
	other filterKind = iota
	local
	global
	network
)

// filterOf is a filter's configuration, which Istio's EnvoyFilters often have as a TypedStruct.
func filterOf(n *policyfile.Node) (filter *policyfile.Node, kind filterKind) {
	typeURL := text(n.Get("@type"))
	filter = n
	if strings.HasSuffix(typeURL, "TypedStruct") {
		typeURL, filter = text(n.Get("type_url")), n.Get("value")
	}
	switch {
	case filter == nil:
	case strings.HasSuffix(typeURL, "filters.http.local_ratelimit.v3.LocalRateLimit"):
		return filter, local
	case strings.HasSuffix(typeURL, "filters.network.local_ratelimit.v3.LocalRateLimit"):
		return filter, network
	case strings.HasSuffix(typeURL, "filters.http.ratelimit.v3.RateLimit"):
		return filter, global
	}
	return n, other
}

// localKeys are those that are converted, or say nothing.
var localKeys = []string{
	"@type", "stat_prefix", "token_bucket", "filter_enabled", "filter_enforced", "descriptors", "rate_limits", "enable_x_ratelimit_headers",
	"stage", "vh_rate_limits", "always_consume_default_token_bucket", "local_rate_limit_per_downstream_connection", "status", "max_dynamic_descriptors",
}

func (i *importer) local(f *policyfile.Node, path string, a around) {
	i.note(f, path, localKeys, map[string]string{
		"local_cluster_rate_limit":           "divides the bucket among the proxies; scope: mesh of a policy shares it, through Redis",
		"rate_limited_as_resource_exhausted": "the answer to a gRPC call that is refused is Weir's own",
	})
	if status := text(f.At("status", "code")); status != "" && status != "429" && status != "TooManyRequests" {
		i.leave(f.Get("status"), path+".status", "Weir answers 429")
	}
	l := limit{at: f, path: path, rank: a.rank}
	if text(f.Get("enable_x_ratelimit_headers")) == "DRAFT_VERSION_03" {
		l.headers = "all"
	}
	var problem string
	l.cluster, problem = a.routes.only(i.actions.routes)
	switch {
	case problem != "" && i.options.Cluster != "":
		l.cluster, problem = i.options.Cluster, ""
	case len(a.routes) > 1:
		problem += ": choose one by --cluster NAME"
	}
	if truth(f.Get("local_rate_limit_per_downstream_connection")) {
		problem = "is a bucket for each connection, and a policy counts those of a client by key: [client_ip]"
	}
	enabled, enforced := i.percent(f, path, "filter_enabled"), i.percent(f, path, "filter_enforced")
	switch {
	case enabled == 0: // the default of Envoy
		l.mode = "off"
	case enabled < 1 || enforced > 0 && enforced < 1:
		problem = fmt.Sprintf("is for a share of the requests: enabled for %g %%, enforced for %g %%", enabled*100, enforced*100)
	case enforced == 0: // the default of Envoy
		l.mode = "shadow"
	}
	i.bucket(l, f.Get("token_bucket"), path+".token_bucket", problem)
	for n, d := range items(f.Get("descriptors")) {
		path := policy.IndexPath(path+".descriptors", n)
		below := scope{problem: problem, cluster: l.cluster}
		for _, e := range items(d.Get("entries")) {
			below = i.entry(below, text(e.Get("key")), text(e.Get("value")))
		}
		of := l
		of.key, of.cluster = below.key, below.cluster
		if truth(d.Get("shadow_mode")) && of.mode == "" {
			of.mode = "shadow"
		}
		i.bucket(of, d.Get("token_bucket"), path+".token_bucket", below.problem)
	}
}

// percent is the share that a key says, from 0 to 1. Envoy's default is 0.
func (i *importer) percent(f *policyfile.Node, path, key string) float64 {
	n := f.Get(key)
	if runtime := text(n.Get("runtime_key")); runtime != "" {
		i.leave(n, path+"."+key, "Envoy's runtime may change it by %s; a policy is changed by writing it", runtime)
	}
	share := n.Get("default_value")
	numerator, _ := strconv.ParseFloat(text(share.Get("numerator")), 64)
	switch text(share.Get("denominator")) {
	case "TEN_THOUSAND":
		return min(numerator/10_000, 1)
	case "MILLION":
		return min(numerator/1_000_000, 1)
	}
	return min(numerator/100, 1)
}

const (
	maxBurst  = 1_000_000
	maxRefill = 1_000_000
	minRefill = 1e-6
)

func (i *importer) bucket(l limit, b *policyfile.Node, path, problem string) {
	if b == nil {
		return // enabled for single routes only
	}
	l.at, l.path = b, path
	burst, burstErr := strconv.ParseInt(text(b.Get("max_tokens")), 10, 64)
	tokens, tokensErr := strconv.ParseInt(or(text(b.Get("tokens_per_fill")), "1"), 10, 64)
	interval, intervalErr := time.ParseDuration(text(b.Get("fill_interval")))
	switch {
	case problem != "":
		i.leave(b, path, "%s", problem)
		return
	case burstErr != nil || tokensErr != nil || intervalErr != nil || interval <= 0:
		i.leave(b, path, "needs whole numbers max_tokens and tokens_per_fill, and a fill_interval such as 1s")
		return
	}
	l.burst, l.refill = burst, float64(tokens)/interval.Seconds()
	if burst < 1 || burst > maxBurst || l.refill < minRefill || l.refill > maxRefill {
		i.leave(b, path, "has %d tokens and %g more a second: a bucket of a policy has 1 to %d, and %g to %d more a second", burst, l.refill, maxBurst, minRefill, maxRefill)
		return
	}
	i.ofCluster(l)
}
