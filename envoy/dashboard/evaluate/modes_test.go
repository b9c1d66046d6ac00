package evaluate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weir-mesh/weir/envoy/dashboard"
	"github.com/weir-mesh/weir/envoy/dashboard/evaluate"
)

// TestModes: an open breaker is an alert, and counted as refused, where its proxy refuses by it.
func TestModes(t *testing.T) {
	rules, err := dashboard.Rules()
	if err != nil {
		t.Fatal(err)
	}
	open := rules[slices.IndexFunc(rules, func(r dashboard.Rule) bool { return r.Alert == "WeirBreakerOpen" })]
	queries, err := dashboard.Queries()
	if err != nil {
		t.Fatal(err)
	}
	refused := queries[slices.IndexFunc(queries, func(q dashboard.Query) bool { return q.Panel == "Open breakers" })]

	const untold = -1 // a Weir without weir_mode
	for name, test := range map[string]struct {
		modes   []int // one an Envoy, all of whose breakers are open
		alert   bool
		proxies float64
		refused float64
	}{
		"enforce":           {[]int{2}, true, 1, 1},
		"enforce, twice":    {[]int{2, 2}, true, 2, 1},
		"shadow":            {[]int{1}, false, 0, 0},
		"shadow on one":     {[]int{1, 2}, true, 1, 1},
		"off, no more":      {[]int{0, 0}, false, 0, 0},
		"an older Weir":     {[]int{untold}, true, 1, 1},
		"older, and shadow": {[]int{untold, 1}, true, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var s evaluate.Samples
			now := time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)
			for i, mode := range test.modes {
				text := "weir_breaker_state{cluster=\"aws\"} 2\nweir_breaker_state{cluster=\"well\"} 0\nweir_mode{cluster=\"well\"} 2\n"
				if mode != untold {
					text += fmt.Sprintf("weir_mode{cluster=\"aws\"} %d\n", mode)
				}
				if err := s.Scrape(now, fmt.Sprint("envoy-", i), text); err != nil {
					t.Fatal(err)
				}
			}
			vector, err := s.Query(open.Expr, now)
			if err != nil || len(vector) > 0 != test.alert {
				t.Fatalf("%s: got %v, %v", open.Alert, vector, err)
			}
			if test.alert && (evaluate.Number(vector) != test.proxies || vector[0].Metric.Get("cluster") != "aws") {
				t.Errorf("%s: %v, want %v proxies", open.Alert, vector, test.proxies)
			}
			vector, err = s.Query(refused.With("3h", "1m"), now)
			if got := evaluate.Number(vector); err != nil || got != test.refused {
				t.Errorf("%s: %v, %v, want %v", refused.Panel, vector, err, test.refused)
			}
		})
	}
}
