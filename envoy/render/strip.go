package render

import (
	"slices"
	"strings"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/weir-mesh/weir/policy"
	"google.golang.org/protobuf/types/known/anypb"
)

// ownHeaders begin the names of request headers that only Weir may set.
const ownHeaders = "x-weir-"

// stripClientHeaders removes a client's headers that only Weir may set, before Envoy chooses a route: a client that sends
// `x-weir-cluster: aws_pricing_eu` would else choose the cluster by itself. The filter removes them too, but for
// the choice that is too late: the filter is told the cluster (xds.cluster_name) of the route that was chosen first, also after
// the header is gone and Envoy has chosen another.
// https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/early_header_mutation
func stripClientHeaders(d *policy.Document) (*corev3.TypedExtensionConfig, error) {
	mutations := []*mutationv3.HeaderMutation{{
		Action: &mutationv3.HeaderMutation_RemoveOnMatch_{RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{
			KeyMatcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: ownHeaders}},
		}},
	}}
	for _, name := range failoverHeaders(d) {
		mutations = append(mutations, &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Remove{Remove: name}})
	}
	typed, err := anypb.New(&earlyv3.HeaderMutation{Mutations: mutations})
	if err != nil {
		return nil, err
	}
	return &corev3.TypedExtensionConfig{Name: "envoy.http.early_header_mutation.header_mutation", TypedConfig: typed}, nil
}

// failoverHeaders are the document's headers of failover that ownHeaders does not cover, sorted.
func failoverHeaders(d *policy.Document) (names []string) {
	if d == nil {
		return nil
	}
	note := func(p *policy.Policy) {
		if p != nil && p.Failover != nil && !strings.HasPrefix(p.Failover.Header, ownHeaders) {
			names = append(names, p.Failover.Header)
		}
	}
	note(d.Default)
	for _, c := range d.Clusters {
		note(c.Policy)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
