package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestMemoryOfManyClusters: a policy of 2,000 clusters, each with a limit, a breaker and a fallback, takes little more memory
// than one of a single cluster. Two workers and the main thread have a VM each.
func TestMemoryOfManyClusters(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("2,000 clusters")
	}
	const clusters, mostMB = 2000, 20 // 15 were seen, 27 to 28 at 57ee040
	// envoy starts one with a policy of n clusters, and returns its process.
	envoy := func(n int) (pid int) {
		var b strings.Builder
		b.WriteString("clusters:\n")
		for i := range n - 1 {
			fmt.Fprintf(&b, "  other-%d: {circuit_breaker: {}, rate_limit: {algorithm: token_bucket, requests: %d, window_size: 1s}, fallback: {}}\n", i, 100+i)
		}
		b.WriteString("  used: {circuit_breaker: {}}\n")
		w := start(t, b.String(), map[string]*upstream.Upstream{"used": upstream.New(t)})
		if a := w.get("used", "/"); a.status != 200 {
			t.Fatalf("a policy of %d clusters: got %+v, want status 200", n, a)
		}
		return w.PID()
	}
	one, process := anonymousKB(t, envoy(1)), envoy(clusters)
	// tcmalloc gives back what the start needed, 10 MB in one of three runs, some time after it.
	many := anonymousKB(t, process)
	for deadline := time.Now().Add(10 * time.Second); many-one > mostMB<<10 && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond)
		many = min(many, anonymousKB(t, process))
	}
	t.Logf("%d MB with one cluster, %d MB with %d", one>>10, many>>10, clusters)
	if many-one > mostMB<<10 {
		t.Errorf("got %d MB with %d clusters, want at most %d more than the %d with one", many>>10, clusters, mostMB, one>>10)
	}
}

// anonymousKB is a process's own memory: without the pages of files, which other processes share.
func anonymousKB(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(status), "RssAnon:")
	var kb int
	if _, err := fmt.Sscan(line, &kb); err != nil {
		t.Fatalf("got no RssAnon: %v", err)
	}
	return kb
}
