package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/policy"
)

// warnings says what the filter accepts and nobody can mean: keys without an effect, and names that match nothing.
// document is nil if the policy has mistakes.
func warnings(at *positions, document *policy.Document) []Finding {
	var all []Finding
	add := func(path, format string, args ...any) {
		all = append(all, at.finding(Warning, path, fmt.Sprintf(format, args...)))
	}
	each := func(path string, p *policyfile.Node) {
		for _, c := range withoutEffect {
			for _, key := range c.keys {
				names := strings.Split(c.section+"."+key, ".")
				if p.At(names...) != nil && p.Get(names[0]) != nil && !c.has(p) {
					add(path+"."+c.section+"."+key, "has no effect %s", c.why)
				}
			}
		}
		if p.Get("failover") != nil && p.Get("circuit_breaker") == nil {
			add(path+".failover", "never acts, because only an open breaker sends requests elsewhere; add circuit_breaker: {}")
		}
	}
	clusters := at.root.Get("clusters")
	if clusters != nil {
		for _, m := range clusters.Members {
			path := policy.MemberPath("clusters", m.Name)
			if regularExpression(m.Name) {
				add(path, "looks like a regular expression, and is compared as it is written; in a name only * stands for other characters")
			}
			each(path, m.Value)
		}
	}
	if policies := at.root.Get("policies"); policies != nil {
		for _, m := range policies.Members {
			each(policy.MemberPath("policies", m.Name), m.Value)
		}
	}
	if d := at.root.Get("default"); d != nil {
		each("default", d)
	}
	if document != nil && document.Redis != nil && !anyMesh(document) {
		add("redis", "is not used, because no rate_limit has scope: mesh")
	}
	return all
}

// withoutEffect are the keys that another key of the same policy switches on.
var withoutEffect = []struct {
	section string
	keys    []string
	has     func(policy *policyfile.Node) bool
	why     string
}{
	{"rate_limit", []string{"burst_capacity", "refill_rate"}, word("rate_limit", "algorithm", "token_bucket"), "without algorithm: token_bucket"},
	{
		"rate_limit",
		[]string{"adaptive_threshold", "backoff_factor", "recovery_factor", "adaptive_interval", "adaptive_min_samples"},
		word("rate_limit", "algorithm", "adaptive"), "without algorithm: adaptive",
	},
	{"rate_limit", []string{"lease", "shards"}, word("rate_limit", "scope", "mesh"), "without scope: mesh"},
	{"rate_limit", []string{"max_keys", "show_keys"}, func(p *policyfile.Node) bool { return p.At("rate_limit", "key") != nil }, "without key"},
	{"retry", []string{"max_body_bytes", "via"}, word("retry", "driver", "filter"), "without driver: filter"},
	{"fallback", []string{"default_data", "default_data_by_path"}, on("enable_default_fallback"), "with enable_default_fallback: false"},
	{"fallback", []string{"degraded"}, on("enable_degraded_mode"), "with enable_degraded_mode: false"},
	{
		"fallback",
		[]string{"fallback_data_ttl", "cache_staleness_threshold", "cache_key_headers", "shared", "max_entries", "max_body_bytes"},
		on("enable_cache_fallback"), "with enable_cache_fallback: false",
	},
}

// word reports whether a key has the value, or one by a variable, which may be any.
func word(section, key, value string) func(*policyfile.Node) bool {
	return func(p *policyfile.Node) bool {
		n := p.At(section, key)
		return n != nil && (n.Text == value || strings.Contains(n.Text, "${"))
	}
}

func on(key string) func(*policyfile.Node) bool {
	return func(p *policyfile.Node) bool {
		n := p.At("fallback", key)
		return n == nil || n.Kind != policyfile.Boolean || n.Truth
	}
}

// expression are signs of a regular expression that no cluster's name has. outbound|80||host has |, and api.example.* is
// a pattern, so | and .* after a word are none.
var expression = regexp.MustCompile(`(?:^|[^A-Za-z0-9])\.\*|\.\+|^\^|\$$|\\[.dws]|\[[^\]]*\]|\([^)]*\)`)

func regularExpression(name string) bool { return expression.MatchString(name) }

func anyMesh(document *policy.Document) bool {
	var policies []*policy.Policy
	document.Each(func(_ string, p *policy.Policy) { policies = append(policies, p) })
	return slices.ContainsFunc(policies, func(p *policy.Policy) bool {
		return p.RateLimit != nil && p.RateLimit.Scope == policy.ScopeMesh
	})
}
