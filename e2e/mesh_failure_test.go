package e2e

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/check"
	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestMeshWithoutRedis: four Envoys, two with on_error local, one with allow, one with deny. Redis is there, is stopped
// and killed, and comes back with nothing in it.
func TestMeshWithoutRedis(t *testing.T) {
	t.Parallel()
	const (
		limit   = 40
		window  = time.Second
		rate    = 200.0 // on each group
		timeout = 100 * time.Millisecond
		// Envoy ends a call after redis.timeout, the lease holder after twice that. The rest is for a busy machine.
		waits = 2*timeout + 2*time.Second
	)
	m := newMesh(t)
	if m.server == nil {
		t.Skip("redis-server is not installed: a miniredis goes with its bridge, see TestMeshWithALyingBridge for that")
	}
	type group struct {
		onError string
		proxies []*weir
		samples []sample
	}
	groups := []*group{{onError: "local"}, {onError: "allow"}, {onError: "deny"}}
	for i, n := range []int{2, 1, 1} {
		g := groups[i]
		for range n {
			g.proxies = append(g.proxies, m.join(
				fmt.Sprintf("clusters:\n  %s: {rate_limit: {requests: %d, window_size: 1s, scope: mesh}}\n", g.onError, limit),
				fmt.Sprintf("timeout: %v, on_error: %s", timeout, g.onError), map[string]*upstream.Upstream{g.onError: upstream.New(t)}))
		}
	}
	// load puts each group under load for a while, during which something may happen, and checks that all are answered,
	// in time.
	load := func(name string, lasts time.Duration, happens func()) {
		t.Helper()
		var wg sync.WaitGroup
		for _, g := range groups {
			wg.Go(func() {
				g.samples = traffic{proxies: g.proxies, cluster: g.onError, name: name, connections: 32, rate: rate, last: lasts, patience: 15 * time.Second}.run()
			})
		}
		happens()
		wg.Wait()
		for _, g := range groups {
			answered(t, g.samples)
			if most := quantile(g.samples, 1); most > waits {
				t.Errorf("%s, %s: a request took %v, want little more than redis.timeout, %v", name, g.onError, most, timeout)
			}
			t.Logf("%s, %s: %d asked, %d admitted, at most %d within %v; p50 %v p99 %v", name, g.onError, len(g.samples), len(with(g.samples, 200)),
				check.MostWithin(spansOf(with(g.samples, 200)), window), window, quantile(g.samples, 0.5), quantile(g.samples, 0.99))
		}
	}
	nothing := func() {}

	load("healthy", 3*time.Second, nothing)
	for _, g := range groups {
		// A call that a busy machine does not answer within redis.timeout is one that on_error decides about: local may
		// then admit its share as well, and allow everything.
		unanswered := 0.0
		for _, w := range g.proxies {
			unanswered += w.redisCalls()["unavailable"]
		}
		want := map[string]int{"local": 2 * limit, "allow": len(g.samples), "deny": limit}[g.onError]
		if unanswered == 0 {
			want = limit
		} else {
			t.Logf("healthy, %s: %v calls had no answer in time, so on_error decided about some requests", g.onError, unanswered)
		}
		if most := check.MostWithin(spansOf(with(g.samples, 200)), window); most > want {
			t.Errorf("healthy, %s: got %d within %v, want at most %d", g.onError, most, window, want)
		}
	}

	load("stopped, then killed", 3*time.Second, func() {
		after(t.Context(), time.Second)
		m.server.Pause(t)
		after(t.Context(), timeout/2) // requests wait now
		m.server.Kill()
	})

	const gone = 5 * time.Second
	before := map[*weir]float64{}
	for _, w := range m.proxies {
		before[w] = w.redisCalls()["unavailable"]
		if before[w] < 2 {
			t.Errorf("unavailable: got %v calls, want 2 or more since Redis was killed", before[w])
		}
	}
	load("gone", gone, nothing)
	for i, w := range m.proxies {
		calls := w.redisCalls()["unavailable"] - before[w]
		t.Logf("gone: proxy %d made %v calls in %v", i, calls, gone)
		// Two workers, each with waits of 100, 200, 400, … 5,000 ms between its calls, which have doubled a few times
		// by now.
		if calls > 20 {
			t.Errorf("gone: proxy %d made %v calls within %v, want at most 20", i, calls, gone)
		}
	}
	for _, g := range groups {
		admitted := with(g.samples, 200)
		switch g.onError {
		case "local": // half of the limit for each of the two
			for i := range g.proxies {
				var own []sample
				for _, s := range admitted {
					if s.proxy == i {
						own = append(own, s)
					}
				}
				if most := check.MostWithin(spansOf(own), window); most > limit/2 {
					t.Errorf("local: proxy %d admitted %d within %v, want at most its share, %d", i, most, window, limit/2)
				}
				if least := int(0.8 * limit / 2 * gone.Seconds()); len(own) < least {
					t.Errorf("local: proxy %d admitted %d in %v, want %d or more, most of its share", i, len(own), gone, least)
				}
			}
		case "allow":
			if len(admitted) != len(g.samples) {
				t.Errorf("allow: got statuses %v, want 200 alone", statuses(g.samples))
			}
		case "deny":
			if len(admitted) != 0 {
				t.Errorf("deny: got statuses %v, want no 200", statuses(g.samples))
			}
			for _, s := range g.samples {
				if wait, err := strconv.Atoi(s.header.Get("retry-after")); err != nil || wait < 1 || s.header.Get("x-weir-reason") != "rate_limited" {
					t.Fatalf("deny: got %v, want rate_limited and a retry-after", s.header)
				}
			}
		}
	}

	m.server.Restart(t)
	back := time.Now()
	for i, w := range m.proxies {
		cluster := []string{"local", "local", "allow", "deny"}[i]
		ok := w.redisCalls()["ok"]
		eventually(t, func() error {
			if a := w.get(cluster, "/"); a.err != nil {
				return a.err
			}
			if w.redisCalls()["ok"] <= ok {
				return fmt.Errorf("proxy %d has not called Redis again yet", i)
			}
			return nil
		})
		t.Logf("back: proxy %d calls Redis again after %v", i, time.Since(back).Round(time.Millisecond))
	}

	// What Redis had granted it has forgotten: at most one further limit.
	load("restarted empty", 4*time.Second, func() {
		after(t.Context(), 2300*time.Millisecond)
		m.server.Restart(t)
	})
	for _, g := range groups {
		most := check.MostWithin(spansOf(with(g.samples, 200)), window)
		if g.onError == "deny" && most > 2*limit {
			t.Errorf("restarted empty: got %d within %v, want at most twice the limit of %d", most, window, limit)
		}
		if g.onError == "local" && most > 3*limit { // and for as long as Redis was gone, the shares
			t.Errorf("restarted empty: got %d within %v, want at most three times the limit of %d", most, window, limit)
		}
	}
	m.faultless(t)
	for _, w := range m.proxies {
		w.WaitMetric("weir_faults_total", engine.Exactly(0))
	}
}
