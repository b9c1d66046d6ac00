package policy

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// everySection is a document with each section, as short as possible.
const everySection = `{
  "clusters": {"NAME": {
    "rate_limit": {"lease": {}},
    "circuit_breaker": {"failure_rate": {}, "slow_calls": {}},
    "retry": {"budget": {}},
    "fallback": {"default_data": {}, "degraded": {}},
    "bulkhead": {},
    "failover": {"to": ["other"]}
  }},
  "default": {},
  "redis": {}
}`

// knownKeys are the keys that the decoder reads from everySection, with a part of `key` that has keys of its own.
func knownKeys(t *testing.T) []key {
	t.Helper()
	var keys []key
	d := &decoder{getenv: noVariables, describe: func(k key) {
		k.path = strings.ReplaceAll(k.path, "[0]", "[]") // an entry of a list
		keys = append(keys, k)
	}}
	document := strings.Replace(everySection, `"rate_limit": {`, `"rate_limit": {"key": [{"client_ip": {}}], `, 1)
	root, err := d.read([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	d.document(&root)
	if err := asError(d.mistakes); err != nil {
		t.Fatal(err)
	}
	keys = append(keys, key{"admin", "object", "absent: off"}, key{"admin.hosts", "list of host names", "[]"})
	slices.SortFunc(keys, func(a, b key) int { return comparePaths(a.path, b.path) })
	return slices.Compact(slices.DeleteFunc(keys, func(k key) bool { return strings.HasPrefix(k.path, "default.") }))
}

// TestReference compares REFERENCE.md with the decoder: one row for each key, with its type, bounds and default.
func TestReference(t *testing.T) {
	text, err := os.ReadFile("REFERENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\|$")
	var documented []key
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, key{m[1], m[2], strings.Trim(m[3], "`")})
	}
	slices.SortStableFunc(documented, func(a, b key) int { return comparePaths(a.path, b.path) })
	if diff := cmp.Diff(knownKeys(t), documented, cmp.AllowUnexported(key{})); diff != "" {
		t.Errorf("REFERENCE.md: want by the decoder (-), got (+):\n%s", diff)
	}
}
