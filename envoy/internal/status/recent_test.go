package status

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/adminapi"
)

// counted is a cluster that has admitted, refused and failed so many.
func counted(mode string, allowed, limited, failed float64) adminapi.Cluster {
	return adminapi.Cluster{
		Mode: mode, Requests: &adminapi.Requests{Allowed: allowed, RateLimited: limited}, Upstream: &adminapi.Upstream{FailedTotal: failed},
	}
}

var firstColumns = regexp.MustCompile(`(?m)^(ok|open|shadow) +\S+`)

// TestOrder: first are the clusters from which clients suffer most, whatever their state; among equals the worst state, then the name.
func TestOrder(t *testing.T) {
	var recent Recent
	status := func(at int, clusters map[string]adminapi.Cluster) *adminapi.Status {
		s := &adminapi.Status{Time: adminapi.Time(time.Duration(at) * time.Second / time.Millisecond), Clusters: clusters}
		recent.Add("http://a", s)
		return s
	}
	order := func(s *adminapi.Status, byName bool) string {
		var b bytes.Buffer
		Printer{Out: &b, Recent: &recent, ByName: byName}.Status("http://a", s)
		var names []string
		for _, line := range firstColumns.FindAllString(b.String(), -1) {
			names = append(names, strings.Fields(line)[1])
		}
		return strings.Join(names, " ")
	}
	zero := counted("enforce", 0, 0, 0)
	idle := zero
	idle.Breaker = &adminapi.Breaker{State: "open"}
	status(0, map[string]adminapi.Cluster{"b": zero, "a": zero, "limited": zero, "failing": zero, "idle": idle, "shadowed": counted("shadow", 0, 0, 0)})
	after := map[string]adminapi.Cluster{
		"b": counted("enforce", 100, 0, 0), "a": counted("enforce", 200, 0, 0), "limited": counted("enforce", 100, 30, 0),
		"failing": counted("enforce", 100, 0, 2), "idle": idle, "shadowed": counted("shadow", 100, 900, 0),
	}
	s := status(1, after)
	if got, want := order(s, false), "limited failing idle shadowed a b"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := order(s, true), "a b failing idle limited shadowed"; got != want {
		t.Errorf("by name: got %s, want %s", got, want)
	}
}

// TestImpact: a cluster changes its place by orders of magnitude, and goes down only below half of one.
func TestImpact(t *testing.T) {
	var r Recent
	failed := 0.0
	impact := func(second int, more float64) int {
		failed += more
		c := counted("enforce", failed, 0, failed)
		r.AddCluster("a", "x", &c, time.Unix(int64(second), 0))
		rates := r.rates("a", "x")
		return r.impact("a", "x", rates, false)
	}
	for i, step := range []struct {
		second int
		failed float64
		want   int
	}{
		{0, 0, 0},       // nothing is known
		{60, 120, 3},    // 120 in a minute
		{60, 0, 3},      // the same status again
		{120, 60, 3},    // 60: below a hundred, and above its half
		{180, 49, 2},    // 49
		{240, 0, 0},     // none
		{300, 1, 1},     // one
		{360, 1000, 4},  // at once
		{370, -1000, 0}, // reset: what came before counts no more
	} {
		if got := impact(step.second, step.failed); got != step.want {
			t.Errorf("step %d: got %d, want %d", i, got, step.want)
		}
	}
}

// TestRatesOverModes: what a mode had counted before it was left is not counted again when it comes back.
func TestRatesOverModes(t *testing.T) {
	var r Recent
	for i, c := range []adminapi.Cluster{counted("shadow", 10, 0, 0), counted("enforce", 100, 900, 0), counted("enforce", 160, 930, 0)} {
		r.AddCluster("a", "x", &c, time.Unix(int64(20*i), 0))
	}
	if got, want := r.rates("a", "x"), (Rates{20 * time.Second, 4.5, 1.5, 0}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestFailing: a tenth of what was admitted in the time that was looked at. In shadow nothing is said.
func TestFailing(t *testing.T) {
	for name, test := range map[string]struct {
		mode            string
		allowed, failed float64
		want            Verdict
	}{
		"a tenth":         {"enforce", 100, 10, Verdict{Failing, "10% of the admitted requests failed in the last 2s"}},
		"less":            {"enforce", 100, 9, Verdict{OK, ""}},
		"more than began": {"enforce", 1, 3, Verdict{Failing, "100% of the admitted requests failed in the last 2s"}},
		"nothing":         {"enforce", 0, 0, Verdict{OK, ""}},
		"in shadow":       {"shadow", 100, 10, Verdict{Shadow, "its policy decides, but does not act"}},
	} {
		var r Recent
		for second, n := range []float64{0, 1} {
			c := counted(test.mode, n*test.allowed, n*50, n*test.failed)
			r.AddCluster("a", "x", &c, time.Unix(2*int64(second), 0))
			if second == 1 {
				if got := r.Judge("a", "x", &c, time.Unix(2, 0)); got != test.want {
					t.Errorf("%s: got %v %q, want %v %q", name, got.State, got.Why, test.want.State, test.want.Why)
				}
			}
		}
	}
}

// TestRates: of the last minute, or of less where less was seen.
func TestRates(t *testing.T) {
	var r Recent
	for second, want := range []Rates{
		{}, {time.Second, 11, 1, 2}, {2 * time.Second, 11, 1, 2}, {3 * time.Second, 11, 1, 2},
	} {
		n := float64(second)
		c := counted("enforce", 10*n, n, 2*n)
		r.AddCluster("a", "x", &c, time.Unix(int64(second), 0))
		if got := r.rates("a", "x"); got != want {
			t.Errorf("after %d s: got %+v, want %+v", second, got, want)
		}
	}
	c := counted("enforce", 630, 63, 126)
	r.AddCluster("a", "x", &c, time.Unix(63, 0))
	if got, want := r.rates("a", "x"), (Rates{time.Minute, 11, 1, 2}); got != want {
		t.Errorf("after a minute: got %+v, want %+v", got, want)
	}
	if got := r.rates("b", "x"); got != (Rates{}) {
		t.Errorf("of another Envoy: got %+v, want nothing", got)
	}
}
