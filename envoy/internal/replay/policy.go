package replay

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/weir-mesh/weir/policy"
)

// Prepared is a policy document as it is replayed, and what was changed for it.
type Prepared struct {
	Document *policy.Document // as it is written
	JSON     []byte           // as it is replayed
	Changes  Changes
}

// Changes are the parts of a policy that a log can't be asked about.
type Changes struct {
	Mesh     bool // limits of scope mesh count this log as the whole mesh
	Shadow   bool // clusters in mode shadow are decided as if they enforced
	Fallback bool // what answers in place of an error is left out: it changes no decision
	Failover bool // requests stay with the cluster that the log has
	Retries  bool // the filter's own further attempts are left out: the log does not say how they would have ended
}

// Prepare changes a document for its replay. Getenv looks up the variables of ${NAME}, as for policy.Decode.
func Prepare(document *policy.Document, asJSON []byte, getenv func(string) (string, bool)) (*Prepared, error) {
	p := &Prepared{Document: document}
	var root map[string]any
	decoder := json.NewDecoder(bytes.NewReader(asJSON))
	decoder.UseNumber()
	if err := decoder.Decode(&root); err != nil {
		return nil, err
	}
	delete(root, "redis")
	for _, group := range []string{"clusters", "policies"} {
		named, _ := root[group].(map[string]any)
		for _, value := range named {
			p.Changes.change(value, getenv)
		}
	}
	p.Changes.change(root["default"], getenv)
	var err error
	p.JSON, err = json.Marshal(root)
	return p, err
}

// change changes one cluster's policy.
func (c *Changes) change(value any, getenv func(string) (string, bool)) {
	rules, _ := value.(map[string]any)
	is := func(value any, word string) bool {
		text, _ := value.(string)
		return policy.Substitute(text, getenv) == word // mode: ${WEIR_MODE:-shadow}
	}
	drop := func(from map[string]any, key string, word string, noted *bool) {
		if value, ok := from[key]; ok && (word == "" || is(value, word)) {
			delete(from, key)
			*noted = true
		}
	}
	drop(rules, "mode", "shadow", &c.Shadow)
	drop(rules, "fallback", "", &c.Fallback)
	drop(rules, "failover", "", &c.Failover)
	if limit, ok := rules["rate_limit"].(map[string]any); ok {
		drop(limit, "scope", "mesh", &c.Mesh)
	}
	if retry, ok := rules["retry"].(map[string]any); ok && is(retry["driver"], "filter") {
		drop(rules, "retry", "", &c.Retries)
	}
}

// Reads are the parts of a request that limits by key read.
type Reads struct {
	Headers []string // lower case, sorted
	Paths   bool
}

// ReadsOf are the parts that any of the policies reads.
func ReadsOf(prepared ...*Prepared) (r Reads) {
	for _, p := range prepared {
		d := p.Document
		all := []*policy.Policy{d.Default}
		for _, c := range d.Clusters {
			all = append(all, c.Policy)
		}
		for _, rules := range all {
			if rules == nil || rules.RateLimit == nil {
				continue
			}
			for _, part := range rules.RateLimit.Key {
				switch part.Kind {
				case policy.KeyHeader:
					r.Headers = append(r.Headers, part.Name)
				case policy.KeyCookie:
					r.Headers = append(r.Headers, "cookie")
				case policy.KeyQuery, policy.KeyPath:
					r.Paths = true
				case policy.KeyClientIP, policy.KeyMethod:
				}
			}
		}
	}
	slices.Sort(r.Headers)
	r.Headers = slices.Compact(r.Headers)
	return r
}
