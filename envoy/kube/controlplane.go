package kube

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-mesh/weir/policy"
)

// ControlPlane is what the checks of a policy and of options differ by. What they say of a mistake is the same for all.
type ControlPlane struct {
	Name string // in messages

	Prefixes []string // begin the names of its clusters
	Others   []string // are the names of clusters that begin otherwise
	Names    string   // what the names look like
	Write    string   // what to write in a policy in place of a name that is none

	Upstream string // what --upstream says of a name
	// FailoverTo says whether a failover can lead to what has this name. Target is what that is, TargetUpstream how --upstream
	// names one.
	FailoverTo             func(name string) bool
	Target, TargetUpstream string

	Files bool // whether a module may be a file in each proxy's container
}

// CheckPattern returns why a name or pattern matches none of the clusters, or nil.
func (c ControlPlane) CheckPattern(pattern string) error {
	fixed, _, wild := strings.Cut(pattern, "*")
	if slices.Contains(c.Others, pattern) {
		return nil
	}
	for _, prefix := range slices.Concat(c.Prefixes, c.Others) {
		if wild && strings.HasPrefix(prefix, fixed) {
			return nil
		}
	}
	for _, prefix := range c.Prefixes {
		if len(pattern) > len(prefix) && strings.HasPrefix(pattern, prefix) {
			return nil
		}
	}
	if wild {
		return fmt.Errorf("no cluster of %s matches %s, since their names are %s: write %s in the policy", c.Name, pattern, c.Names, c.Write)
	}
	return fmt.Errorf("no cluster of %[1]s is named %[2]s: add --upstream %[2]s=%[3]s, or write %[4]s in the policy", c.Name, pattern, c.Upstream, c.Write)
}

// CheckPolicy returns what of a policy can't be enforced, all at once.
func CheckPolicy[Cluster fmt.Stringer](c ControlPlane, d *policy.Document, upstreams []Upstream[Cluster]) error {
	var errs []error
	if d.Admin || d.Attempts {
		errs = append(errs, errors.New("policy: admin and attempts are no policies for traffic; --weir-admin PORT adds the admin listener"))
	}
	for _, u := range upstreams {
		if slices.ContainsFunc(d.Clusters, func(c policy.Cluster) bool { return c.Pattern == u.Name }) {
			errs = append(errs, fmt.Errorf("the policy has both %s and %s, which --upstream says are the same; remove one", u.Name, u.Cluster))
		}
	}
	for _, cluster := range d.Clusters {
		if err := c.CheckPattern(cluster.Pattern); err != nil {
			errs = append(errs, err)
		}
	}
	d.Each(func(path string, p *policy.Policy) {
		if p.Retry != nil && p.Retry.Driver == policy.DriverFilter {
			errs = append(errs, fmt.Errorf("%s.retry: driver filter needs an internal listener, which %s can't have: write driver: envoy", path, c.Name))
		}
		if p.Failover == nil {
			return
		}
		for _, to := range p.Failover.To {
			if !c.FailoverTo(to) {
				errs = append(errs, fmt.Errorf("%s.failover.to: %s is no %s: add --upstream %s=%s", path, to, c.Target, to, c.TargetUpstream))
			}
		}
	})
	return errors.Join(errs...)
}
