package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnenforced(t *testing.T) {
	tests := []struct {
		name, document string
		want           []string
	}{
		{"what this version does", `
clusters:
  a:
    rate_limit: {algorithm: token_bucket, headers: all}
    circuit_breaker: {timeout: 5s, max_recovery_timeout: 300s, expected_failures: ["429", "grpc:internal"]}
    fallback: {enable_cache_fallback: false, default_data: {body: sorry}, degraded: {status: 500}, on: [rate_limited]}
  b: {mode: "off", retry: {}, rate_limit: {}}
default: {}
`, nil},
		{"what it doesn't", `
clusters:
  a:
    rate_limit: {scope: mesh, key: [path]}
    circuit_breaker: {failure_rate: {}, slow_calls: {}}
    retry: {}
    fallback: {}
    bulkhead: {}
    failover: {to: [b]}
  b|c: {mode: shadow}
default: {rate_limit: {algorithm: adaptive}}
redis: {}
`, []string{
			"clusters.a.bulkhead: the section is not enforced by this version of Weir yet; leave it out",
			"clusters.a.circuit_breaker.failure_rate: a failure rate is not enforced by this version of Weir yet; leave it out",
			"clusters.a.circuit_breaker.slow_calls: a rate of slow calls is not enforced by this version of Weir yet; leave it out",
			"clusters.a.failover: the section is not enforced by this version of Weir yet; leave it out",
			"clusters.a.fallback.enable_cache_fallback: the cache is not enforced by this version of Weir yet; write false",
			"clusters.a.rate_limit.algorithm: sliding_window is not enforced by this version of Weir yet; use token_bucket",
			"clusters.a.rate_limit.key: a key is not enforced by this version of Weir yet; write []",
			"clusters.a.rate_limit.scope: mesh is not enforced by this version of Weir yet; use proxy",
			"clusters.a.retry: the section is not enforced by this version of Weir yet; leave it out",
			`clusters["b|c"].mode: shadow is not enforced by this version of Weir yet; write enforce or off`,
			"default.rate_limit.algorithm: adaptive is not enforced by this version of Weir yet; use token_bucket",
			"redis: the section is not enforced by this version of Weir yet; leave it out",
		}},
		{"admin", "admin: {}", []string{"admin: the admin API is not enforced by this version of Weir yet; leave this plugin out"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			if err := decodeYAML(t, test.document).Unenforced(); err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("wanted (-) and got (+):\n%s", diff)
			}
		})
	}
}
