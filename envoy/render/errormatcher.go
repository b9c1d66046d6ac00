package render

import (
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/matcher/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/statuses"
)

// errorMatcher configures which response statuses outlier detection counts as failures, by the policy. It is nil for
// 5xx, which is Envoy's default. Outlier detection always counts resets, timeouts and failed connections.
func errorMatcher(f *policy.Failures) *httpv3.HttpProtocolOptions_OutlierDetection {
	ranges := statusRanges(f)
	if len(ranges) == 1 && ranges[0].Start == 500 && ranges[0].End == 600 {
		return nil
	}
	matcher := &matcherv3.MatchPredicate{Rule: &matcherv3.MatchPredicate_NotMatch{
		NotMatch: &matcherv3.MatchPredicate{Rule: &matcherv3.MatchPredicate_AnyMatch{AnyMatch: true}},
	}}
	var rules []*matcherv3.MatchPredicate
	for _, r := range ranges {
		rules = append(rules, &matcherv3.MatchPredicate{Rule: &matcherv3.MatchPredicate_HttpResponseHeadersMatch{
			HttpResponseHeadersMatch: &matcherv3.HttpHeadersMatch{Headers: []*routev3.HeaderMatcher{{
				Name: ":status", HeaderMatchSpecifier: &routev3.HeaderMatcher_RangeMatch{RangeMatch: r},
			}}},
		}})
	}
	switch len(rules) {
	case 0:
	case 1:
		matcher = rules[0]
	default: // or_match needs at least two rules
		matcher = &matcherv3.MatchPredicate{Rule: &matcherv3.MatchPredicate_OrMatch{OrMatch: &matcherv3.MatchPredicate_MatchSet{Rules: rules}}}
	}
	return &httpv3.HttpProtocolOptions_OutlierDetection{ErrorMatcher: matcher}
}

// statusRanges merges the listed statuses into half-open ranges: 429 and 5xx are [429, 430) and [500, 600).
func statusRanges(f *policy.Failures) (list []*typev3.Int64Range) {
	for status := range statuses.Max + 1 {
		if !f.Statuses.Has(status) {
			continue
		}
		if n := len(list); n > 0 && list[n-1].End == int64(status) {
			list[n-1].End++
			continue
		}
		list = append(list, &typev3.Int64Range{Start: int64(status), End: int64(status) + 1})
	}
	return list
}
