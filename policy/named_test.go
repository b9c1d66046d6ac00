package policy

import "testing"

// TestOwnBreaker: a policy in shadow and one that acts never have one breaker.
func TestOwnBreaker(t *testing.T) {
	const document = `{
		"policies": {"acts": {}, "trial": {"mode": "shadow"}},
		"clusters": {"aws": {}, "quiet": {"mode": "shadow"}, "off": {"mode": "off"}}
	}`
	d, err := Decode([]byte(document), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		cluster, name string
		want          bool
	}{
		{"aws", "acts", false},
		{"aws", "trial", true},
		{"quiet", "acts", true},
		{"quiet", "trial", true},
		{"off", "acts", false},
		{"without", "acts", false},
		{"without", "trial", true},
	} {
		if got := d.OwnBreaker(tc.cluster, tc.name); got != tc.want {
			t.Errorf("OwnBreaker(%q, %q) = %v, want %v", tc.cluster, tc.name, got, tc.want)
		}
	}
}

// TestUsesBreaker: which clusters' breakers can be open, by their own policies or by those of routes.
func TestUsesBreaker(t *testing.T) {
	const clusters = `"clusters": {"breaks": {"circuit_breaker": {}}, "passes": {}, "off": {"mode": "off", "circuit_breaker": {}}, "quiet": {"mode": "shadow"}}`
	for policies, used := range map[string]map[string]bool{
		`{}`: {"breaks": true},
		`{"limits": {"rate_limit": {}}, "off": {"mode": "off", "circuit_breaker": {}}, "trial": {"mode": "shadow", "circuit_breaker": {}}}`: {"breaks": true},
		`{"acts": {"circuit_breaker": {}}}`: {"breaks": true, "passes": true, "off": true, "without": true}, // that of quiet is quiet@acts
	} {
		d, err := Decode([]byte(`{"policies": `+policies+`, `+clusters+`}`), func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		for _, cluster := range []string{"breaks", "passes", "off", "quiet", "without"} {
			if got := d.UsesBreaker(cluster); got != used[cluster] {
				t.Errorf("%s: UsesBreaker(%q) = %v, want %v", policies, cluster, got, used[cluster])
			}
		}
	}
}
