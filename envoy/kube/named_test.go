package kube

import (
	"slices"
	"testing"

	"github.com/weir-mesh/weir/policy"
)

type cluster string

func (c cluster) String() string { return string(c) }

// TestUnused: an upstream is used by the name of a cluster, by a pattern, by the default policy, as a target of failover, and in mode off.
func TestUnused(t *testing.T) {
	upstreams := []Upstream[cluster]{{"a", "outbound|80||a"}, {"b", "outbound|80||b"}, {"c", "outbound|80||c"}, {"d", "outbound|80||d"}, {"typo", "outbound|80||e"}}
	const clusters = `{"clusters": {"outbound|80||a": {"circuit_breaker": {}, "failover": {"to": ["outbound|80||b"]}}, "outbound|80||c": {"mode": "off"}, "*d": {}}`
	const warning = "--upstream typo: no policy applies to it: write its name under clusters, or leave it out"
	for document, want := range map[string][]string{clusters + "}": {warning}, clusters + `, "default": {}}`: nil} {
		d, err := policy.Decode([]byte(document), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		if got := Unused(d, upstreams); !slices.Equal(got, want) {
			t.Errorf("Unused(%s) = %q, want %q", document, got, want)
		}
	}
}
