package e2e

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestMeshOfManyProxies: two Envoys share a limit of 6,000 a second that is nearly used up, as it seems with 400 other
// proxies that call Redis all the time. So their calls are paced: requests are refused though tokens are left, or wait
// for the next call. None of the 100 tokens that are left is used twice, and nearly all are used. The two workers of each
// have one pool of tokens.
func TestMeshOfManyProxies(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	if m.server == nil {
		t.Skip("redis-server is not installed: this test writes into its record")
	}
	const tokens, last = 100, 4 * time.Second
	u := upstream.New(t)
	for range 2 {
		m.join("\nclusters:\n  crowd: {rate_limit: {requests: 60000, window_size: 10s, scope: mesh}}\n",
			"timeout: 400ms, on_error: deny", map[string]*upstream.Upstream{"crowd": u})
	}
	lua := func(ctx context.Context, script string) error {
		return do("EVAL", "local now = redis.call('TIME') now = now[1] * 1000000 + now[2] "+script,
			"3", "weir:{crowd}:2:p", "weir:{crowd}:2:w10000000:e", "weir:{crowd}:2:w10000000:n")(ctx, m.server)
	}
	const others = "for i = 1, 400 do redis.call('ZADD', KEYS[1], now, 'other ' .. i) end"
	if err := lua(t.Context(), others+" redis.call('ZADD', KEYS[2], now, 'used') redis.call('HSET', KEYS[3], 'used', 59900, 't', 59900)"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	pooled := false
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if err := lua(ctx, others); err != nil && ctx.Err() == nil {
				t.Errorf("the other proxies' calls: %v", err)
				return
			}
			names, _ := m.server.Client.HKeys(ctx, "weir:{crowd}:2:w10000000:n").Result() // leases that are out
			pooled = pooled || slices.ContainsFunc(names, func(name string) bool { return strings.Contains(name, "-pool") })
			time.Sleep(50 * time.Millisecond) // how often they call
		}
	}()
	all := traffic{proxies: m.proxies, cluster: "crowd", rate: 200, last: last}.run()
	stop()
	<-ended
	answered(t, all)
	l := shared{cluster: "crowd", limit: tokens, window: 9 * time.Second}
	l.promised(t, all, u)
	admitted, refusedEarly, waited := 0, 0, 0
	for _, s := range all {
		switch {
		case s.status == 200:
			if admitted++; s.took() > 15*time.Millisecond {
				waited++
			}
		case admitted < tokens*9/10:
			refusedEarly++
		}
	}
	if !pooled {
		t.Error("got no lease of a pool, want some")
	}
	t.Logf("%d asked, %d admitted, of which %d took more than 15 ms, %d refused before nine tenths of the tokens were used",
		len(all), admitted, waited, refusedEarly)
	if admitted < tokens*9/10 {
		t.Errorf("got %d admitted, want %d or more", admitted, tokens*9/10)
	}
	if refusedEarly < 3 {
		t.Errorf("got %d refused while tokens were left, want 3 or more: calls are not paced", refusedEarly)
	}
}
