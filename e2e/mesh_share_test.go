package e2e

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/check"
	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestMeshOfTwo has two Envoys share each kind of limit: counted by key, adaptive, with leases of one token, in shadow.
func TestMeshOfTwo(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	u := upstream.New(t)
	adaptive := []*upstream.Upstream{upstream.New(t), upstream.New(t)}
	for _, own := range adaptive {
		m.join(`
clusters:
  one: {rate_limit: {requests: 100000, window_size: 60s, scope: mesh, lease: {max_tokens: 1}}}
  many: {rate_limit: {requests: 100000, window_size: 60s, scope: mesh}}
  keyed: {rate_limit: {requests: 20, window_size: 1s, scope: mesh, key: [{header: x-user}]}}
  few: {rate_limit: {requests: 10, window_size: 1s, scope: mesh, key: [{header: x-user}], max_keys: 2}}
  adaptive:
    rate_limit:
      {algorithm: adaptive, requests: 100, window_size: 1s, scope: mesh, adaptive_threshold: 0.8, backoff_factor: 0.5,
       recovery_factor: 2, adaptive_interval: 500ms, adaptive_min_samples: 5}
  shadow: {mode: shadow, rate_limit: {requests: 5, window_size: 1s, scope: mesh, headers: all}}
  all: {rate_limit: {requests: 20, window_size: 1s, scope: mesh, headers: all}}
  refused: {rate_limit: {requests: 20, window_size: 1s, scope: mesh}}
  leave: {bulkhead: {max_concurrent: 40}, rate_limit: {requests: 100000, window_size: 60s, scope: mesh, lease: {max_tokens: 1}}}
`, "timeout: 400ms", map[string]*upstream.Upstream{
			"one": u, "many": u, "keyed": u, "few": u, "adaptive": own, "shadow": u, "all": u, "refused": u, "leave": u,
		})
	}

	t.Run("one by one", m.oneByOne)
	t.Run("at once", func(t *testing.T) {
		// Together, for they use different clusters: no t.Parallel, which would wait for other tests.
		var wg sync.WaitGroup
		for _, part := range []func(*testing.T){m.countsByKey, m.sharesOverflow, m.limitHeaders} {
			wg.Go(func() { part(t) })
		}
		wg.Wait()
	})
	t.Run("adaptive", func(t *testing.T) { m.adapts(t, adaptive) })
	t.Run("shadow", m.onlyWatches)
	t.Run("clients leave", func(t *testing.T) { m.outlivesClients(t, u) })
	m.faultless(t)
}

// oneByOne: with max_tokens 1 there is a call to Redis for each request, without it for few of them.
func (m *mesh) oneByOne(t *testing.T) {
	if m.server == nil {
		t.Skip("redis-server is not installed: nobody counts the commands of a miniredis")
	}
	calls := func(cluster string, requests int, rate float64) int64 {
		m.server.ResetCalls(t)
		all := traffic{proxies: m.proxies, cluster: cluster, rate: rate, last: time.Duration(float64(requests) / rate * float64(time.Second))}.run()
		answered(t, all)
		if admitted := len(with(all, 200)); admitted != len(all) {
			t.Errorf("%s: got %d of %d admitted, want all, far below the limit", cluster, admitted, len(all))
		}
		made := m.server.Calls(t)
		n := made["evalsha"] + made["eval"]
		t.Logf("%s: %d calls for %d requests at %v a second", cluster, n, len(all), rate)
		return n
	}
	// Requests that wait at the same time share one call, so the pace is slow.
	if n := calls("one", 100, 50); n < 90 {
		t.Errorf("one: got %d calls for 100 requests, want 90 or more", n)
	}
	if n := calls("many", 1600, 800); n > 160 {
		t.Errorf("many: got %d calls for 1600 requests, want at most 160, a lease for ten each", n)
	}
}

func userOf(n int64, users int64) http.Header {
	return http.Header{"X-User": {fmt.Sprint("user", n%users)}}
}

// countsByKey: each user has a limit of 20 a second, over both proxies.
func (m *mesh) countsByKey(t *testing.T) {
	const users, limit, lasts = 3, 20, 5 * time.Second
	all := traffic{
		proxies: m.proxies, cluster: "keyed", rate: users * 50, last: lasts,
		header: func(n int64) http.Header { return userOf(n, users) },
	}.run()
	answered(t, all)
	for user := range int64(users) {
		var own []sample
		for _, s := range with(all, 200) {
			if number(t, s)%users == user {
				own = append(own, s)
			}
		}
		most := check.MostWithin(spansOf(own), time.Second)
		t.Logf("keyed: user %d: %d admitted in %v, at most %d of %d within 1s", user, len(own), lasts, most, limit)
		if most > limit {
			t.Errorf("user %d: got %d within 1s, want at most %d", user, most, limit)
		}
		if least := int(0.8 * limit * lasts.Seconds()); len(own) < least {
			t.Errorf("user %d: got %d admitted, want at least %d by a limit of its own", user, len(own), least)
		}
	}
}

// number is which request of its traffic a sample is.
func number(t *testing.T, s sample) int64 {
	t.Helper()
	var n int64
	for i := len(s.numbered) - 1; i >= 0; i-- {
		if s.numbered[i] == '-' {
			var err error
			if n, err = strconv.ParseInt(s.numbered[i+1:], 10, 64); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
	return n
}

// sharesOverflow: two keys have records of their own, and all others together one.
func (m *mesh) sharesOverflow(t *testing.T) {
	const users, limit, records = 30, 10, 2 + 1
	all := traffic{
		proxies: m.proxies, cluster: "few", rate: 150, last: 4 * time.Second,
		header: func(n int64) http.Header { return userOf(n, users) },
	}.run()
	answered(t, all)
	most := check.MostWithin(spansOf(with(all, 200)), time.Second)
	t.Logf("few: %d users, %d asked, %d admitted, at most %d of %d within 1s", users, len(all), len(with(all, 200)), most, records*limit)
	if most > records*limit {
		t.Errorf("got %d within 1s, want at most what %d records have, %d", most, records, records*limit)
	}
	if most < limit*9/10 {
		t.Errorf("got %d within 1s, want nine tenths of the record that most users share", most)
	}
}

// limitHeaders: the RateLimit headers agree with each other, and with the response when no token remains.
func (m *mesh) limitHeaders(t *testing.T) {
	for _, cluster := range []string{"all", "refused"} {
		all := traffic{proxies: m.proxies, cluster: cluster, rate: 60, last: 2 * time.Second}.run()
		answered(t, all)
		if counts := statuses(all); counts[200] < 20 || counts[429] < 20 {
			t.Errorf("%s: got statuses %v of 60 a second, want 20 or more of each: the limit is 20", cluster, counts)
		}
		for _, s := range all {
			if s.status == 200 && cluster == "refused" {
				if s.header.Get("ratelimit") != "" || s.header.Get("x-ratelimit-limit") != "" {
					t.Errorf("refused: got an admitted response with %v, want no limit headers", s.header)
				}
				continue
			}
			remaining, err := strconv.Atoi(s.header.Get("x-ratelimit-remaining"))
			reset, err2 := strconv.Atoi(s.header.Get("x-ratelimit-reset"))
			if err != nil || err2 != nil || remaining < 0 || remaining >= 20 || reset < 0 || reset > 1 || s.header.Get("x-ratelimit-limit") != "20" ||
				s.header.Get("ratelimit-policy") != fmt.Sprintf("%q;q=20;w=1", cluster) ||
				s.header.Get("ratelimit") != fmt.Sprintf("%q;r=%d;t=%d", cluster, remaining, reset) {
				t.Fatalf("%s: got %d with %v, want limit headers that agree", cluster, s.status, s.header)
			}
			if s.status == 429 && (remaining != 0 || s.header.Get("retry-after") != "1" || s.header.Get("x-weir-reason") != "rate_limited") {
				t.Fatalf("%s: refused with %v, want rate_limited, none remaining and retry-after 1", cluster, s.header)
			}
		}
	}
}

// adapts: one proxy's upstream fails, and the limit falls for both; it works again, and the limit comes back.
func (m *mesh) adapts(t *testing.T, upstreams []*upstream.Upstream) {
	// admitted counts both proxies' of a second, however it was answered.
	admitted := func() (by [2]int) {
		for _, s := range (traffic{proxies: m.proxies, cluster: "adaptive", rate: 200, last: time.Second}).run() {
			if s.err != nil {
				t.Fatal(s.err)
			}
			if s.header.Get("x-weir-reason") != "rate_limited" {
				by[s.proxy]++
			}
		}
		return by
	}
	reach := func(what string, reached func(by [2]int) bool) {
		t.Helper()
		begun := time.Now()
		eventually(t, func() error {
			by := admitted()
			if reached(by) {
				t.Logf("adaptive: %s: %v admitted in a second, after %v", what, by, time.Since(begun).Round(time.Millisecond))
				return nil
			}
			return fmt.Errorf("%s: got %v admitted in a second after %v", what, by, time.Since(begun))
		})
	}
	reach("all is well", func(by [2]int) bool { return by[0]+by[1] >= 80 })
	upstreams[0].Set(upstream.Status(500))
	reach("one upstream fails", func(by [2]int) bool { return by[0]+by[1] <= 25 })
	upstreams[0].Set(upstream.OK())
	reach("it works again", func(by [2]int) bool { return by[0]+by[1] >= 80 })
}

// onlyWatches: in shadow a request neither waits for Redis, though it be stopped, nor is it refused.
func (m *mesh) onlyWatches(t *testing.T) {
	look := func(what string) {
		t.Helper()
		all := traffic{proxies: m.proxies, cluster: "shadow", rate: 100, last: 1500 * time.Millisecond}.run()
		for _, s := range all {
			if s.err != nil || s.status != 200 || s.header.Get("ratelimit") != "" || s.header.Get("retry-after") != "" {
				t.Fatalf("%s: got %+v, want status 200 without limit headers", what, s)
			}
		}
		t.Logf("shadow, %s: %d, p50 %v, p99 %v", what, len(all), quantile(all, 0.5), quantile(all, 0.99))
		if p90 := quantile(all, 0.9); p90 > 200*time.Millisecond { // one that waited would take redis.timeout, 400 ms
			t.Errorf("%s: got a p90 of %v, want at most 200 ms", what, p90)
		}
	}
	look("Redis is there")
	eventually(t, func() error {
		limited := m.proxies[0].sum(`weir_requests_total{cluster="shadow",decision="shadow_rate_limited"`) +
			m.proxies[1].sum(`weir_requests_total{cluster="shadow",decision="shadow_rate_limited"`)
		if limited < 75 {
			return fmt.Errorf("got %v of 150 that would be refused, want 75 or more: the limit is 5 a second", limited)
		}
		return nil
	})
	if m.server != nil {
		m.server.Pause(t)
		look("Redis is stopped")
		m.server.Continue(t)
	}
}

// outlivesClients: clients leave while they wait for Redis. The calls that they caused are answered all the same,
// others that wait are served, and nothing is left behind.
func (m *mesh) outlivesClients(t *testing.T, u *upstream.Upstream) {
	var wg sync.WaitGroup
	results := make([]load.Answers, len(m.proxies))
	for i, w := range m.proxies {
		wg.Go(func() {
			results[i] = load.Run(t, load.Plan{
				URL: w.url, Host: "leave", Connections: 20, Duration: 3 * time.Second, Rate: 100,
				LeaveEarly: 0.5, LeaveAfter: 30 * time.Millisecond, Seed: uint64(i),
			})
		})
	}
	if m.server != nil {
		for range 5 { // each shorter than redis.timeout, so that all who stay are served
			after(t.Context(), 300*time.Millisecond)
			m.server.Pause(t)
			after(t.Context(), 150*time.Millisecond)
			m.server.Continue(t)
		}
	}
	wg.Wait()
	slow := http.Header{"X-Slow": {"1"}}
	u.When(upstream.Header("x-slow", "1"), upstream.Delay(500*time.Millisecond))
	u.WaitIdle()
	for i, w := range m.proxies {
		stayed, left := 0, 0
		for _, a := range results[i] {
			if a.Err != nil && a.Left {
				left++
				continue
			}
			stayed++
			if a.Err != nil || a.Status != 200 {
				t.Fatalf("proxy %d: a client that stayed got %d %v %v, want status 200", i, a.Status, a.Err, a.Header)
			}
		}
		t.Logf("proxy %d: %d clients stayed, %d left", i, stayed, left)
		if left < 30 {
			t.Errorf("proxy %d: got %d clients that left, want 30 or more", i, left)
		}
		before := w.redisCalls()["ok"]
		// All 40 places are free, at the same time, and Redis is called.
		if all := load.Run(t, load.Plan{URL: w.url, Host: "leave", Header: slow, Connections: 40, Requests: 40}); len(all.With(200)) != 40 {
			t.Errorf("proxy %d: afterwards: got statuses %v, want 40 x 200", i, all.Statuses())
		}
		if calls := w.redisCalls()["ok"]; calls <= before {
			t.Errorf("proxy %d: got no call to Redis after the %v before", i, before)
		}
	}
}
