package policy

import (
	"slices"
	"strings"
)

// Key is one key of a document as the decoder reads it: a row of REFERENCE.md.
type Key struct {
	Path    string // such as clusters.NAME.retry.max_attempts; [] is an entry of a list
	Type    string // such as `whole number, 1 to 10`
	Default string // as a document writes it, or in words
}

// everySection is a document with each section, as short as possible.
const everySection = `{
  "clusters": {"NAME": {
    "rate_limit": {"lease": {}},
    "circuit_breaker": {"failure_rate": {}, "slow_calls": {}},
    "retry": {"budget": {}},
    "fallback": {"default_data": {}, "default_data_by_path": {"/PATH": {}}, "degraded": {}},
    "bulkhead": {},
    "failover": {"to": ["other"]}
  }},
  "default": {},
  "redis": {}
}`

// Keys are all keys that the decoder knows, in the order of their paths. Those of `default` are those of `clusters.NAME`.
// It panics if the decoder does not accept everySection.
func Keys() []Key {
	var keys []Key
	withKey := strings.Replace(everySection, `"rate_limit": {`, `"rate_limit": {"key": [{"client_ip": {}}], `, 1)
	for _, document := range []string{withKey, `{"admin": {}}`, `{"attempts": {}}`} {
		d := &decoder{getenv: func(string) (string, bool) { return "", false }, describe: func(k Key) {
			k.Path = strings.ReplaceAll(k.Path, "[0]", "[]") // an entry of a list
			k.Path = strings.ReplaceAll(k.Path, `["/PATH"]`, ".PATH")
			keys = append(keys, k)
		}}
		root, err := d.read([]byte(document))
		if err == nil {
			d.document(&root)
			err = asError(d.mistakes, 0)
		}
		if err != nil {
			panic("policy.Keys: " + err.Error())
		}
	}
	slices.SortFunc(keys, func(a, b Key) int { return comparePaths(a.Path, b.Path) })
	return slices.Compact(slices.DeleteFunc(keys, func(k Key) bool { return strings.HasPrefix(k.Path, "default.") }))
}

// GRPCCodes are the names of gRPC's status codes, by code.
func GRPCCodes() []string { return slices.Clone(grpcCodes[:]) }
