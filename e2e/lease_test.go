package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestLeasesOverTwoWorkers sends as much as is admitted, then more, to limits of which the two workers take leases: never too
// many are admitted, little is wasted, and most requests change no record.
func TestLeasesOverTwoWorkers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, rules string
		allowed     func(took time.Duration) float64 // in any interval of this length
		used        float64                          // in five seconds, where none is wasted
	}{
		{
			"bucket", "{algorithm: token_bucket, burst_capacity: 3000, refill_rate: 100}",
			func(took time.Duration) float64 { return 3000 + 100*took.Seconds() }, 3400,
		},
		{
			"window", "{algorithm: sliding_window, requests: 3000, window_size: 6s}",
			func(took time.Duration) float64 { return 3000 * (1 + float64(took/(6*time.Second))) }, 3000,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			u := upstream.New(t)
			w := start(t, fmt.Sprintf("clusters:\n  aws:\n    rate_limit: %s\n", tc.rules), map[string]*upstream.Upstream{"aws": u})
			answers := load.Run(t, load.Plan{URL: w.url, Host: "aws", Connections: 64, Duration: 5 * time.Second, Rate: 2000})
			for _, failed := range answers.Failed() {
				t.Fatalf("a request failed: %v", failed.Err)
			}
			admitted, refused := answers.With(200), answers.With(429)
			if len(admitted)+len(refused) != len(answers) || len(refused) == 0 {
				t.Fatalf("got statuses %v, want 200 and 429 alone, and both", answers.Statuses())
			}
			if u.Count() != len(admitted) {
				t.Errorf("got %d admitted by the clients' count, want %d, the upstream's count", len(admitted), u.Count())
			}
			// A request that began after s and ended before e was admitted between them, whatever the delays on its way.
			starts, ends := admitted.Starts(), admitted.Ends()
			for k := 0; k < len(starts); k += 50 {
				within := make([]time.Time, 0, len(ends))
				for i, e := range ends {
					if !starts[i].Before(starts[k]) {
						within = append(within, e)
					}
				}
				slices.SortFunc(within, time.Time.Compare)
				for n, e := range within {
					if allowed := tc.allowed(e.Sub(starts[k])); float64(n+1) > allowed {
						t.Fatalf("got %d admitted within %v, want at most %.0f", n+1, e.Sub(starts[k]), allowed)
					}
				}
			}
			if least := 0.97 * tc.used; float64(len(admitted)) < least {
				t.Errorf("got %d admitted of %d, want at least %.0f", len(admitted), len(answers), least)
			}
			w.WaitMetric(`weir_requests_total{cluster="aws",decision="allowed"}`, engine.Exactly(float64(len(admitted))))
			w.WaitMetric(`weir_faults_total`, engine.Exactly(0))
			changes := w.Prometheus()[`weir_record_version{cluster="aws"}`]
			if changes > float64(len(admitted))/2 || changes == 0 {
				t.Errorf("got %.0f changes of the record for %d admitted requests, want less than half of them", changes, len(admitted))
			}
			t.Logf("%d asked, %d admitted, %.0f changes of the record, conflicts: %v", len(answers), len(admitted), changes,
				w.Prometheus()["weir_state_conflicts_total"])
		})
	}
}
