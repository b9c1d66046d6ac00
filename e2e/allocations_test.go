package e2e

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestPathAllocatesNothing: most requests allocate no memory in the module that ships, but for further attempts. TinyGo's collector costs each request some 29,000 instructions as soon as anything is allocated.
func TestPathAllocatesNothing(t *testing.T) {
	if edition := repo.Edition(); edition != "tinygo" {
		t.Skipf("TinyGo counts what is allocated, %s also what its runtime allocates for each call into the module", edition)
	}
	t.Parallel()
	policies := []struct{ cluster, rules string }{
		{"breaker", `{circuit_breaker: {}}`},
		{"bucket", `{rate_limit: {algorithm: token_bucket, requests: 1000000, burst_capacity: 1000000, headers: none}}`},
		{"window", `{rate_limit: {algorithm: sliding_window, requests: 1000000, headers: none}}`},
		{"full", `{rate_limit: {algorithm: token_bucket, requests: 1000000, burst_capacity: 1000000, headers: none},
			circuit_breaker: {}, bulkhead: {max_concurrent: 100}, fallback: {enable_cache_fallback: false}}`},
		{"keyed", `{rate_limit: {algorithm: sliding_window, requests: 1000000, headers: none, key: [{header: user-agent}, path, method, {cookie: a}, {query: b}]}}`},
		{"by-ip", `{rate_limit: {algorithm: token_bucket, requests: 1000000, headers: none, key: [client_ip]}}`},
		{"kept", `{circuit_breaker: {}, fallback: {}}`},
		{"by-path", `{circuit_breaker: {}, fallback: {enable_cache_fallback: false, default_data_by_path: {/a: {}, /*: {}}}}`},
		{"retried", "{" + retryRules("filter", "max_attempts: 3") + "}"},
	}
	policy, upstreams := "clusters:\n", map[string]*upstream.Upstream{"plain": upstream.New(t)}
	for _, p := range policies {
		policy += fmt.Sprintf("  %s: %s\n", p.cluster, p.rules)
		upstreams[p.cluster] = upstream.New(t)
	}
	w := startCrashing(t, policy, upstreams)
	client := connection(t) // to one worker
	allocated := func(cluster string) int {
		t.Helper()
		a := w.ask(client, cluster, "")
		n, err := strconv.Atoi(a.header.Get("weir-test-mallocs"))
		if a.status != 200 || err != nil || n == 0 {
			t.Fatalf("%s: got %+v, want 200, and the number of allocations since the start", cluster, a)
		}
		return n
	}
	for _, cluster := range []string{"plain", "breaker", "bucket", "window", "full", "keyed", "by-ip", "kept", "by-path", "retried"} {
		for range 50 {
			allocated(cluster) // the first requests make what the others use again
		}
		const requests = 200
		before := allocated(cluster)
		for range requests - 1 {
			allocated(cluster)
		}
		// Once a second something is looked up by its name, and the route of one in 64 is checked.
		if got := allocated(cluster) - before; got > requests/10 {
			t.Errorf("%s: got %d allocations in %d requests, want less than one in 10", cluster, got, requests)
		}
	}
}
