package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/redis"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/policy/ratelimit"
	sharedredis "github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest"
)

// redisClock moves the clock that a real Redis's scripts see, on the way from Envoy to the bridge: TIME cannot be set,
// and Debian's redis-server does not start under libfaketime (its jemalloc asks for the time before that is ready). So
// each call by digest becomes one by source, in which clock.lua adds what the clock is ahead. A key expires by Redis's
// clock too, so move makes its time to live longer or shorter by as much.
type redisClock struct {
	server *redistest.Server
	ahead  atomic.Int64 // µs
	mu     sync.Mutex   // no call while the clock is moved
	bySHA  map[string]string
}

func newRedisClock(server *redistest.Server) *redisClock {
	c := &redisClock{server: server, bySHA: map[string]string{}}
	for _, l := range []*sharedredis.Limit{
		sharedredis.NewSlidingWindow(1, time.Second, 0), sharedredis.NewTokenBucket(1, 1, 0),
		sharedredis.NewAdaptive(1, time.Second, 0, ratelimit.AdaptiveConfig{}),
	} {
		c.bySHA[l.Script().SHA()] = l.Script().Source()
	}
	return c
}

const clockReturns = "return time[1] * 1000000 + time[2]"

// change changes the body of a request in the upstash dialect: a command, or a list of commands.
func (c *redisClock) change(body []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var pipeline [][]any
	single := json.Unmarshal(body, &pipeline) != nil
	if single {
		pipeline = [][]any{nil}
		if err := json.Unmarshal(body, &pipeline[0]); err != nil {
			return body
		}
	}
	for _, command := range pipeline {
		source, _ := command[1].(string)
		if command[0] == "EVALSHA" {
			source = c.bySHA[source]
		}
		if strings.Contains(source, clockReturns) {
			command[0] = "EVAL"
			command[1] = strings.Replace(source, clockReturns, fmt.Sprintf("%s + %d", clockReturns, c.ahead.Load()), 1)
		}
	}
	var changed []byte
	if single {
		changed, _ = json.Marshal(pipeline[0])
	} else {
		changed, _ = json.Marshal(pipeline)
	}
	return changed
}

func (c *redisClock) move(t *testing.T, by time.Duration) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead.Add(int64(by / time.Microsecond))
	keys, err := c.server.Client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) == 0 {
		t.Fatalf("KEYS *: got %v, %v, want some", keys, err)
	}
	for _, key := range keys {
		if left := c.server.Client.PTTL(t.Context(), key).Val(); left > 0 {
			c.server.Client.PExpire(t.Context(), key, left-by)
		}
	}
}

// TestMeshWhenRedisClockIsSetBack: an hour, by a step of NTP or a failover to a replica that is behind. Each limit
// admits again within two windows, and none tells a client to wait for an hour.
func TestMeshWhenRedisClockIsSetBack(t *testing.T) {
	t.Parallel()
	server, bridge := redis.Start(t, redis.Upstash)
	if server == nil {
		t.Skip("redis-server is not installed (apt-get install redis-server)")
	}
	const (
		limit  = 10
		window = 2 * time.Second
		back   = 4 * time.Second
		lasts  = 13 * time.Second
	)
	clusters := map[string]string{
		"window": "rate_limit: {requests: 10, window_size: 2s, scope: mesh}",
		"keyed":  "rate_limit: {requests: 10, window_size: 2s, scope: mesh, key: [{header: x-key}]}",
		// 10 tokens come in 2 s.
		"bucket":   "rate_limit: {algorithm: token_bucket, burst_capacity: 10, refill_rate: 5, scope: mesh}",
		"adaptive": "rate_limit: {algorithm: adaptive, requests: 10, window_size: 2s, scope: mesh}",
	}
	policy, upstreams := "clusters:\n", map[string]*upstream.Upstream{}
	for name, p := range clusters {
		policy += fmt.Sprintf("  %s: {%s}\n", name, p)
		upstreams[name] = upstream.New(t)
	}
	clock := newRedisClock(server)
	l := newLiar(t, bridge)
	l.change = clock.change
	w := joinThrough(t, bridge.Dialect(), l.port(t), policy, "timeout: 500ms, on_error: deny", upstreams)

	begun := time.Now()
	samples := map[string][]sample{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name := range clusters {
		wg.Go(func() {
			all := traffic{
				proxies: []*weir{w}, cluster: name, connections: 4, rate: 20, last: lasts,
				header: func(int64) http.Header { return http.Header{"X-Key": {"k"}} },
			}.run()
			mu.Lock()
			defer mu.Unlock()
			samples[name] = all
		})
	}
	after(t.Context(), back)
	clock.move(t, -time.Hour)
	moved := time.Now()
	wg.Wait()
	for name, all := range samples {
		answered(t, all)
		longest := 0
		for _, s := range with(all, 429) {
			wait, err := strconv.Atoi(s.header.Get("retry-after"))
			if err != nil {
				t.Fatalf("%s: got retry-after %q, want a number", name, s.header.Get("retry-after"))
			}
			longest = max(longest, wait)
		}
		// A window and a ttl are 2.2 s, rounded up.
		if longest < 1 || longest > 3 {
			t.Errorf("%s: got retry-after up to %d, want 1 to 3", name, longest)
		}
		// What is admitted in the first second may be of a lease from before.
		again := with(between(all, moved.Add(time.Second), begun.Add(lasts+time.Minute)), 200)
		if len(again) == 0 {
			t.Errorf("%s: got none admitted from a second after the clock was set back on, for %v", name, lasts-back)
			continue
		}
		first := again[0].sent.Sub(moved)
		t.Logf("%s: admits again %v after the clock was set back; %d in %v after it; retry-after up to %d",
			name, first.Round(time.Millisecond), len(again), lasts-back, longest)
		if first > 2*window {
			t.Errorf("%s: admits again %v after the clock was set back, want within two windows, %v", name, first, 2*window)
		}
		if len(again) < 2*limit {
			t.Errorf("%s: got %d admitted in the %v after the clock was set back, want %d or more", name, len(again), lasts-back, 2*limit)
		}
	}
	if ok := w.redisCalls()["ok"]; ok < 10 {
		t.Errorf("got %v calls of Redis that succeeded, want 10 or more", ok)
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
