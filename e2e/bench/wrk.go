package bench

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	loadThreads = 2
	connections = 64
)

//go:embed report.lua
var reportLua []byte

// load runs wrk against a URL, as fast as it is answered, and returns how long that took and what latency it saw. A
// request that failed or was not answered by a 2xx or 3xx fails the test.
func load(t testing.TB, url string, seconds int) (took, p50, p99 time.Duration) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "report.lua")
	if err := os.WriteFile(script, reportLua, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "wrk", "--threads", strconv.Itoa(loadThreads), "--connections", strconv.Itoa(connections),
		"--duration", fmt.Sprintf("%ds", seconds), "--script", script, url).CombinedOutput()
	if err != nil {
		t.Fatalf("wrk: %v: %s", err, out)
	}
	_, line, _ := strings.Cut(string(out), "\nreport ")
	var report struct{ P50, P99, Duration, Failed int64 }
	if err := json.NewDecoder(strings.NewReader(line)).Decode(&report); err != nil {
		t.Fatalf("wrk: no report in %q: %v", out, err)
	}
	if report.Failed != 0 {
		t.Fatalf("wrk: %d requests failed: %s", report.Failed, out)
	}
	micros := func(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
	return micros(report.Duration), micros(report.P50), micros(report.P99)
}
