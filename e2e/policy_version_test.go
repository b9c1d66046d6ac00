package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/filter/adminapi"
)

// policiesOf are the policies in force, as GET /status has them.
func policiesOf(c *console) (all []adminapi.Policy, err error) {
	c.t.Helper()
	var s adminapi.Status
	a := c.ask(http.MethodGet, "/status", "")
	if err := json.Unmarshal([]byte(a.body), &s); err != nil {
		return nil, fmt.Errorf("GET /status: got %+v: %w", a, err)
	}
	return s.Policies, nil
}

// TestPolicyInForce: which policy is in force and since when, on status, command, metric and in the log, for each that comes and each
// that comes back within seconds. Each is said once for all workers.
func TestPolicyInForce(t *testing.T) {
	t.Parallel()
	limit := func(n int) string {
		return fmt.Sprintf("clusters: {aws: {rate_limit: {requests: %d, window_size: 60s}, bulkhead: {}}, gcp: {circuit_breaker: {}}}", n)
	}
	w := startWatched(t, limit(10), map[string]*upstream.Upstream{"aws": upstream.New(t), "gcp": upstream.New(t)}, withAdmin)
	admin := w.console()
	versions, said := map[int]uint32{}, map[int]int{}
	since := time.Now().Add(-time.Minute)
	for i, n := range []int{10, 20, 5, 20, 10, 10, 5} {
		switch {
		case i == 0:
		case n == 10 && i == 5: // a refused one in between; it is in force all the time
			w.replace("clusters: {aws: {nonsense: 1}}", "config_fail")
		default:
			w.replace(limit(n), "config_reload")
		}
		var now adminapi.Policy
		eventually(t, func() error {
			all, err := policiesOf(admin)
			if err != nil {
				return err
			}
			if len(all) == 0 || i > 0 && i != 5 && !all[0].Since.Time().After(since) {
				return fmt.Errorf("step %d, limit %d: got policies %+v, want a first one that came after %v", i, n, all, since)
			}
			now = all[0]
			if got := w.Prometheus()["weir_policy_version"]; got != float64(now.Version) {
				return fmt.Errorf("step %d, limit %d: weir_policy_version %v, want %d", i, n, got, now.Version)
			}
			return nil
		})
		since = now.Since.Time()
		if known, ok := versions[n]; ok && known != now.Version {
			t.Errorf("step %d: the policy with limit %d has version %d, and had %d before", i, n, now.Version, known)
		}
		for other, version := range versions {
			if other != n && version == now.Version {
				t.Errorf("step %d: the policies with limits %d and %d both have version %d", i, n, other, version)
			}
		}
		versions[n] = now.Version
		if i != 5 {
			said[n]++
		}
		if age := time.Since(since); age < -time.Second || age > time.Minute {
			t.Errorf("step %d: in force since %v, want now", i, since)
		}
		if at := w.Prometheus()["weir_policy_time_ms"]; at < float64(since.UnixMilli()-1000) || at > float64(since.UnixMilli()+1000) {
			t.Errorf("step %d: weir_policy_time_ms %.0f, want about %d", i, at, since.UnixMilli())
		}
		line := "Policy " + strconv.FormatUint(uint64(now.Version), 10) + " in force since "
		if got := runWeir(t, "status", admin.url); !strings.Contains(got.out, line) {
			t.Errorf("step %d: weir status: got %s, want %q", i, got.out, line)
		}
	}
	eventually(t, func() error { // those that were replaced end
		all, err := policiesOf(admin)
		if err == nil && len(all) != 1 {
			err = fmt.Errorf("got policies %+v in force, want one", all)
		}
		return err
	})
	for n, times := range said {
		line := fmt.Sprintf(": policy %d of 2 clusters and patterns is in force", versions[n])
		if got := strings.Count(w.Logs(), line); got != times {
			t.Errorf("got %q %d times in the log, want %d", line, got, times)
		}
	}
}

// TestPoliciesOfTwoListeners: two listeners with different policies have both in force; two with the same one, whose Structs
// Envoy writes in any order, have one.
func TestPoliciesOfTwoListeners(t *testing.T) {
	t.Parallel()
	upstreams := map[string]*upstream.Upstream{"aws": upstream.New(t)}
	policy := func(n int) string {
		return fmt.Sprintf("clusters: {aws: {rate_limit: {requests: %d}, bulkhead: {}, circuit_breaker: {}, fallback: {}}}", n)
	}
	for _, tc := range []struct{ second, want int }{{10, 1}, {20, 2}} {
		t.Run(strconv.Itoa(tc.want), func(t *testing.T) {
			t.Parallel()
			o := options(t, policy(10), upstreams)
			withAdmin(&o)
			w := startWith(t, o, withListener(t, "second", options(t, policy(tc.second), upstreams)))
			admin := w.console()
			stays := func() error {
				all, err := policiesOf(admin)
				if err == nil && len(all) != tc.want {
					err = fmt.Errorf("got policies %+v in force, want %d", all, tc.want)
				}
				return err
			}
			eventually(t, stays)
			w.get("aws", "/")
			w.at("second", "aws")()
			if err := stays(); err != nil {
				t.Error(err)
			}
			if got := strings.Count(w.Logs(), " clusters and patterns is in force"); got != tc.want {
				t.Errorf("got %d lines about a policy in force, want %d", got, tc.want)
			}
		})
	}
}
