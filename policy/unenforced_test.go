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
    circuit_breaker: {timeout: 5s, max_recovery_timeout: 300s, failure_rate: {}, slow_calls: {}, expected_failures: ["429", "grpc:internal"]}
    fallback: {cache_key_headers: [x-tenant], default_data: {body: sorry}, degraded: {status: 500}, on: [rate_limited]}
    bulkhead: {}
  b: {mode: "off", retry: {}, rate_limit: {}}
  c: {mode: shadow, rate_limit: {key: [path]}}
  d: {retry: {}, failover: {to: [b]}, rate_limit: {scope: mesh}}
redis: {}
default: {rate_limit: {algorithm: adaptive}}
`, nil},
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
