package simulation

import (
	"slices"
	"testing"
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
)

// splitWindow is a window's limit, split into n shards.
func splitWindow(limit int64, window time.Duration, n int64) (shards []*redis.Limit) {
	for range n {
		shards = append(shards, redis.NewSlidingWindow(limit/n, window, 500*time.Millisecond))
	}
	return shards
}

// TestSplitLimit: a limit that is split over several servers is used as one on a single server: never a token too many, and
// not too few where proxies have very different demands, also below the limit, where none may be refused. With
// -simulation.full it shows the limit on one server beside it, and 1,000 proxies.
func TestSplitLimit(t *testing.T) {
	cases := []struct {
		rule    string
		shards  int64
		when    string
		proxies int
		load    float64
		least   float64 // of what the ideal admits
	}{
		{"20,000/s", 4, "skewed", 30, 2, 0.97},
		{"1,000/s", 4, "skewed", 10, 0.8, 0.97},
		{"50/s", 5, "skewed", 10, 2, 0.9},
		{"1,000/s", 4, "all of it", 10, 2, 0.6},
	}
	if *full {
		cases = append(cases, cases[0], cases[0])
		cases[4].proxies, cases[5].proxies = 100, 1000
		cases[5].when = "steady"
	}
	for _, tc := range cases {
		r := rules[slices.IndexFunc(rules, func(r rule) bool { return r.name == tc.rule })]
		c := conditions[slices.IndexFunc(conditions, func(c condition) bool { return c.name == tc.when })]
		whole := &scenario{rule: r, condition: c, proxies: tc.proxies, load: tc.load, seed: *seed, brief: true}
		split := *whole
		split.split = splitWindow(r.limit.Requests(), r.limit.Window(), tc.shards)
		if *full {
			got := whole.run(t)
			t.Logf("whole:    %s", row(whole, &got))
		}
		got := split.run(t)
		t.Logf("%d shards: %s", tc.shards, row(&split, &got))
		if got.ofIdeal < tc.least {
			t.Errorf("%v, load %.1f, %d shards: got %.1f %% of what one limiter admits that sees all requests, want %.0f %% or more",
				whole, tc.load, tc.shards, got.ofIdeal*100, tc.least*100)
		}
	}
}
