package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestMemoryOverReloads: a policy of 600 clusters is replaced again and again, one replacement after the other. Envoy's
// memory stays level: what an old policy held is used by the next one.
func TestMemoryOverReloads(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("9 replacements of 600 clusters")
	}
	const clusters, more, mostMB = 600, 8, 48
	policy := func(version int) string {
		var b strings.Builder
		fmt.Fprintf(&b, "clusters:\n  used: {circuit_breaker: {failure_threshold: %d}}\n", 5+version)
		for i := range clusters - 1 {
			fmt.Fprintf(&b, "  other-%d: {circuit_breaker: {failure_threshold: %d}, rate_limit: {requests: %d, window_size: 60s}, retry: {driver: envoy}, fallback: {default_data: {body: %q}}}\n",
				i, 5+version, 100+version, strings.Repeat("x", 200))
		}
		return b.String()
	}
	w := startWatched(t, policy(0), map[string]*upstream.Upstream{"used": upstream.New(t)})
	w.get("used", "/")
	replace := func(version int) {
		w.replace(policy(version), "config_reload")
		if a := w.get("used", "/"); a.status != 200 {
			t.Fatalf("after %d replacements: got %+v, want status 200", version, a)
		}
	}
	replace(1)
	before := residentKB(t, w.PID())
	for version := range more {
		replace(2 + version)
	}
	after := residentKB(t, w.PID())
	if after-before > mostMB<<10 {
		t.Errorf("got %d MB after %d replacements, want at most %d more than the %d after one", after>>10, 1+more, mostMB, before>>10)
	}
	t.Logf("%d MB after one replacement, %d MB after %d", before>>10, after>>10, 1+more)
}
