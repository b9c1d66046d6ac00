package request_test

import (
	"testing"

	"github.com/weir-mesh/weir/filter/internal/requesttest"
)

// TestKeptByWhatHeadersDoNotSay: who asks, and by which route, where the request's headers say neither.
func TestKeptByWhatHeadersDoNotSay(t *testing.T) {
	const kept, not = "200 cache some", "upstream's own"
	nobody, somebody := requesttest.Surroundings{}, requesttest.Surroundings{Who: true}
	byB, unnamed := requesttest.Surroundings{Route: "b"}, requesttest.Surroundings{Unnamed: true}
	const shared = `{"fallback":{"shared":true,"max_body_bytes":8,"enable_degraded_mode":false}}`
	for _, tc := range []struct {
		name             string
		policy           string
		cacheControl     string
		filledBy, asking requesttest.Surroundings
		want             string
		removed          bool // a 404 to the one who asks removes what was kept
	}{
		{"nobody's, to nobody", keeping, "", nobody, nobody, kept, true},
		{"somebody's, to nobody", keeping, "", somebody, nobody, not, true},
		{"nobody's, to somebody", keeping, "", nobody, somebody, not, false},
		{"somebody's, to somebody", keeping, "", somebody, somebody, not, false},
		{"somebody's public one, to somebody", keeping, "public", somebody, somebody, kept, false},
		{"shared: somebody's, to somebody", shared, "", somebody, somebody, kept, true},
		{"another route's", keeping, "", nobody, byB, not, false},
		{"shared: another route's", shared, "", nobody, byB, not, false},
		{"the same route's", keeping, "", byB, byB, kept, true},
		{"of a route without a name, which may be another one", keeping, "", unnamed, unnamed, not, true},
		{"of a route without a name, public", keeping, "public", unnamed, unnamed, kept, true},
		{"shared: of a route without a name", shared, "", unnamed, unnamed, kept, true},
	} {
		p := requesttest.Start(t, tc.policy)
		fill := exchange{path: "/a", around: tc.filledBy, status: 200, body: []string{"some"}}
		if tc.cacheControl != "" {
			fill.response = requesttest.Headers{{"cache-control", tc.cacheControl}}
		}
		run(p, fill)
		ask := exchange{path: "/a", around: tc.asking, status: 503}
		if got := summary(run(p, ask)); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
		run(p, exchange{path: "/a", around: tc.asking, status: 404})
		fill.status = 503
		want := summary(run(p, fill))
		if tc.removed && want != not {
			t.Errorf("%s, after a 404 to the one who asks: got %s to the first one, want %s", tc.name, want, not)
		}
		if !tc.removed && tc.want == kept && want != kept {
			t.Errorf("%s, after a 404 to the one who asks: got %s to the first one, want %s", tc.name, want, kept)
		}
	}
}

// TestSurroundingsAreReadLazily: each costs host calls, so a path with many requests reads them once a second, and a request
// for which nothing is kept reads none.
func TestSurroundingsAreReadLazily(t *testing.T) {
	p := requesttest.Start(t, keeping)
	around := requesttest.Surroundings{}
	ask := func(status int) int {
		e := exchange{path: "/a", status: status, body: []string{"some"}}
		before := around.Reads
		runAround(p, e, &around)
		return around.Reads - before
	}
	for i, tc := range []struct {
		status, reads int
	}{
		{503, 0}, // nothing is kept
		{404, 0}, // so it removes nothing
		{200, 2}, // kept
		{200, 0}, // not due
		{200, 0},
		{503, 2}, // served
		{404, 2}, // removes it
		{404, 0},
	} {
		if got := ask(tc.status); got != tc.reads {
			t.Errorf("request %d, status %d: got %d reads, want %d", i, tc.status, got, tc.reads)
		}
	}
}
