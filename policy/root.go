package policy

import (
	"slices"
	"strings"

	"github.com/weir-mesh/weir/policy/heapsort"
)

// document reads the whole document. Its keys: clusters, default, policies, redis, access_log, admin, attempts.
func (d *decoder) document(root *value) *Document {
	s := d.section("", root)
	doc := &Document{}
	s.describe("clusters", "object", "required, unless default or admin is there")
	if v := s.find("clusters"); v != nil && !d.section("clusters", v).broken {
		doc.Clusters = d.sortedClusters()
	}
	s.describe("default", "object", "absent: off")
	if v := s.find("default"); v != nil {
		doc.Default = d.policy(s.at("default"), v)
	}
	doc.Policies = d.namedPolicies(s)
	doc.Redis = decodeRedis(s.section("redis"))
	doc.AccessLog = decodeAccessLog(s)
	if admin := s.section("admin"); admin != nil {
		doc.Admin = true
		doc.AdminHosts = admin.texts("hosts", "host names", nil, hostName)
		admin.end()
		for _, other := range []string{"clusters", "default", "policies", "redis", "access_log"} {
			if s.has(other) {
				s.mistake(other, "can't be combined with admin, which needs a document of its own; remove one")
			}
		}
	}
	if attempts := s.section("attempts"); attempts != nil {
		doc.Attempts = true
		attempts.end()
		for _, other := range []string{"clusters", "default", "policies", "redis", "access_log", "admin"} {
			if s.has(other) {
				s.mistake(other, "can't be combined with attempts, which needs a document of its own; remove one")
			}
		}
	}
	if !s.broken && !s.has("clusters") && !s.has("default") && !s.has("policies") && !s.has("admin") && !s.has("attempts") {
		s.mistake("clusters", "missing, so there is nothing to enforce; write a policy here or in default, or write admin: {}")
	}
	s.end()
	d.checkReferences(doc, s.has("redis"))
	return doc
}

// beginClusters reports whether the object that is read now is `clusters`. Each of its entries is decoded as soon as it is read:
// the values of a document of 2,000 clusters took 4 MB at once, in each worker.
func (d *decoder) beginClusters() bool {
	if len(d.at.steps) != 1 || d.at.steps[0].name != "clusters" {
		return false
	}
	d.clusters, d.clustersHash = nil, 0
	return true
}

// cluster decodes one entry of `clusters`, and returns what stays of its value: nothing.
func (d *decoder) cluster(name string, v value) value {
	d.clustersHash += hash(hashText(fnvOffset, name), v.hash())
	d.substitute(&v)
	path := memberPath("clusters", name)
	if problem := clusterPattern(name); problem != "" {
		d.mistake(path, problem)
	} else {
		d.clusters = append(d.clusters, Cluster{Pattern: name, Policy: d.policy(path, &v)})
	}
	return value{}
}

// sortedClusters are the entries of `clusters`, in the order of their names.
func (d *decoder) sortedClusters() []Cluster {
	all := d.clusters
	heapsort.Sort(len(all), func(i, j int) bool { return all[i].Pattern < all[j].Pattern }, func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// policy reads the policy of one cluster.
func (d *decoder) policy(path string, v *value) *Policy {
	s := d.section(path, v)
	p := &Policy{
		Mode:           Mode(s.choice("mode", "enforce", "shadow", "off")),
		RateLimit:      decodeRateLimit(s.section("rate_limit")),
		CircuitBreaker: decodeCircuitBreaker(s.section("circuit_breaker")),
		Retry:          decodeRetry(s.section("retry")),
		Fallback:       decodeFallback(s.section("fallback")),
		Bulkhead:       decodeBulkhead(s.section("bulkhead")),
		Failover:       decodeFailover(s.section("failover")),
	}
	s.end()
	return p
}

// checkReferences checks what one section says about another: a mesh limit needs Redis, and a failover needs another
// cluster.
func (d *decoder) checkReferences(doc *Document, redis bool) {
	doc.Each(func(path string, p *Policy) {
		if p.RateLimit != nil && p.RateLimit.Scope == ScopeMesh && !redis {
			d.mistake(path+".rate_limit.scope", "mesh needs the section redis; add it, or write scope: proxy")
		}
	})
	for _, c := range doc.Clusters {
		if at := strings.LastIndexByte(c.Pattern, '@'); at >= 0 && doc.Named(c.Pattern[at+1:]) != nil {
			d.mistake(memberPath("clusters", c.Pattern), "is what the policy "+quote(c.Pattern[at+1:])+" is called where the cluster "+
				quote(c.Pattern[:at])+" has it; rename the policy")
		}
		if c.Policy.Failover != nil && slices.Contains(c.Policy.Failover.To, c.Pattern) {
			d.mistake(memberPath("clusters", c.Pattern)+".failover.to", "lists the cluster itself, remove it")
		}
	}
}

// Each calls do for each policy of the document, with its path.
func (doc *Document) Each(do func(path string, p *Policy)) {
	for _, n := range doc.Policies {
		do(memberPath("policies", n.Name), n.Policy)
	}
	for _, c := range doc.Clusters {
		do(memberPath("clusters", c.Pattern), c.Policy)
	}
	if doc.Default != nil {
		do("default", doc.Default)
	}
}
