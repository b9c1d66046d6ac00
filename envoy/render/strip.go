package render

import (
	"regexp"
	"slices"
	"strings"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/header"
	"google.golang.org/protobuf/types/known/anypb"
)

// ownPrefixes begin the names of request headers that only Weir may set: header.Prefix in all spellings that an upstream
// may read as the same, see header.IsOwn.
var ownPrefixes = [...]string{header.Prefix, "x_weir_", "x-weir_", "x_weir-"}

// StripClientHeaders removes headers that only Weir may set from a client's request before Envoy chooses a route.
// Otherwise a client that sends `x-weir-cluster: aws_pricing_eu` would choose the cluster. The filter removes them too,
// but after that choice: it reads the cluster (xds.cluster_name) of the route that was chosen first, even when Envoy
// has chosen another since.
// https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/early_header_mutation
func StripClientHeaders(d *policy.Document) (*corev3.TypedExtensionConfig, error) {
	var mutations []*mutationv3.HeaderMutation
	for _, prefix := range ownPrefixes {
		mutations = append(mutations, removeOnMatch(&matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix},
		}))
	}
	for _, name := range failoverHeaders(d) {
		mutations = append(mutations, removeAlike(name))
	}
	typed, err := anypb.New(&earlyv3.HeaderMutation{Mutations: mutations})
	if err != nil {
		return nil, err
	}
	return &corev3.TypedExtensionConfig{Name: "envoy.http.early_header_mutation.header_mutation", TypedConfig: typed}, nil
}

func removeOnMatch(name *matcherv3.StringMatcher) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_RemoveOnMatch_{
		RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{KeyMatcher: name},
	}}
}

// removeAlike removes a header in all spellings that header.Alike takes for it. Envoy matches a regular expression with
// the whole name.
func removeAlike(name string) *mutationv3.HeaderMutation {
	if !strings.ContainsAny(name, "-_") {
		return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Remove{Remove: name}}
	}
	var pattern strings.Builder
	for _, r := range name {
		if r == '-' || r == '_' {
			pattern.WriteString("[-_]")
		} else {
			pattern.WriteString(regexp.QuoteMeta(string(r)))
		}
	}
	return removeOnMatch(&matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{
		SafeRegex: &matcherv3.RegexMatcher{Regex: pattern.String()},
	}})
}

// failoverHeaders are the failover headers of the document that are not Weir's own, sorted.
func failoverHeaders(d *policy.Document) (names []string) {
	if d == nil {
		return nil
	}
	add := func(p *policy.Policy) {
		if p != nil && p.Failover != nil && !header.IsOwn(p.Failover.Header) {
			names = append(names, p.Failover.Header)
		}
	}
	add(d.Default)
	for _, c := range d.Clusters {
		add(c.Policy)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
