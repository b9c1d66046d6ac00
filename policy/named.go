package policy

// NamedCluster is what a named policy is called where a cluster has it: `aws_pricing@partner`. Its limit and its bulkhead are
// counted under this name, and operators see it by this name. A policy's name has no @, so the last one ends the cluster's.
func NamedCluster(cluster, name string) string {
	if name == "" {
		return cluster
	}
	return cluster + "@" + name
}

// Named returns the policy of this name, nil where there is none.
func (doc *Document) Named(name string) *Policy {
	for i := range doc.Policies {
		if doc.Policies[i].Name == name {
			return doc.Policies[i].Policy
		}
	}
	return nil
}

// OwnBreaker reports whether the requests to a cluster that get the policy of this name have a breaker and a retry budget of
// their own instead of the cluster's: where the policy or the cluster's own is in shadow. What a policy in shadow finds out must
// not act by another policy.
func (doc *Document) OwnBreaker(cluster, name string) bool {
	p, own := doc.Named(name), doc.For(cluster)
	return p != nil && p.Mode == ModeShadow || own != nil && own.Mode == ModeShadow
}

// UsesBreaker reports whether the cluster's breaker is that of its own policy, or may be that of one by name.
func (doc *Document) UsesBreaker(cluster string) bool {
	own := doc.For(cluster)
	if own != nil && own.CircuitBreaker != nil {
		return true
	}
	if own != nil && own.Mode == ModeShadow {
		return false
	}
	for i := range doc.Policies {
		if p := doc.Policies[i].Policy; p.CircuitBreaker != nil && p.Mode == ModeEnforce {
			return true
		}
	}
	return false
}

// namedPolicies reads `policies`.
func (d *decoder) namedPolicies(s *section) (named []Named) {
	s.describe("policies", "object", "absent: none")
	v := s.find("policies")
	if v == nil || d.section("policies", v).broken {
		return nil
	}
	for i := range v.members {
		m := &v.members[i]
		path := memberPath("policies", m.name)
		if problem := policyName(m.name); problem != "" {
			d.mistake(path, problem)
		}
		named = append(named, Named{m.name, d.policy(path, &m.value)})
	}
	return named
}
