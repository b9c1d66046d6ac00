package render

import (
	"os"
	"slices"

	"github.com/weir-mesh/weir/policy"
)

// Getenv replaces `${NAME}` as the filter will: from Env, and for the names in HostEnv from this process's environment.
func (o Options) Getenv(name string) (value string, ok bool) {
	if value, ok = o.Env[name]; ok {
		return value, true
	}
	if slices.Contains(o.HostEnv, name) {
		return os.LookupEnv(name)
	}
	return "", false
}

// decode reads the policy with the variables that the filter will have. It returns nil for a policy with mistakes,
// which the filter reports.
func (o Options) decode() *policy.Document {
	document, err := policy.Decode(o.Policy, o.Getenv)
	if err != nil {
		return nil
	}
	return document
}

// policyOf is the policy of a cluster, or one without sections.
func policyOf(d *policy.Document, cluster string) *policy.Policy {
	if d != nil {
		if p := d.For(cluster); p != nil {
			return p
		}
	}
	return &policy.Policy{}
}
