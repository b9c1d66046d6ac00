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
