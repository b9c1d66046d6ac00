package check

import (
	"slices"

	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/policy"
)

// named warns of metadata of routes and clusters that name a policy which no policy document of the file has. A file with a
// mistake in a document is left alone: the name may be in there.
func (r *Result) named(roots []*policyfile.Node) {
	traffic := slices.DeleteFunc(slices.Clone(r.Policies), func(d *policy.Document) bool { return d.Admin || d.Attempts })
	if len(traffic) == 0 || r.Failed() {
		return
	}
	for _, root := range roots {
		eachPolicyName(root, func(name *policyfile.Node) {
			if !slices.ContainsFunc(traffic, func(d *policy.Document) bool { return d.Named(name.Text) != nil }) {
				r.Findings = append(r.Findings, Finding{name.Line, name.Column, Warning, "", "the metadata name the policy " + name.Text +
					", and no policy in this file has it under policies: the cluster's own policy would decide"})
			}
		})
	}
}

// eachPolicyName calls do for each filter_metadata.weir.policy.
func eachPolicyName(n *policyfile.Node, do func(name *policyfile.Node)) {
	if name := n.Field("filter_metadata").At("weir", "policy"); name != nil {
		do(name)
	}
	for _, m := range n.Members {
		eachPolicyName(m.Value, do)
	}
	for _, item := range n.Items {
		eachPolicyName(item, do)
	}
}
