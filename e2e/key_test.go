package e2e

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// from sends a request from a loopback address of its own, as another client would.
func (w *weir) from(ip string, r *http.Request) answer {
	w.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	return w.doBy(&http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, address)
	}}, r)
}

// TestKeys: each key has a limit of its own, made of what the request has and of what Envoy knows, not of what a client
// says of itself.
func TestKeys(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	clusters := []string{"header", "query", "cookie", "ip", "pair"}
	upstreams := map[string]*upstream.Upstream{}
	for _, c := range clusters {
		upstreams[c] = u
	}
	w := start(t, `
clusters:
  header: {rate_limit: {requests: 1, window_size: 1h, key: [{header: x-api-key}]}}
  query:  {rate_limit: {requests: 1, window_size: 1h, key: [{query: user}]}}
  cookie: {rate_limit: {algorithm: token_bucket, burst_capacity: 1, refill_rate: 0.001, key: [{cookie: sid}]}}
  ip:     {rate_limit: {requests: 1, window_size: 1h, key: [client_ip]}}
  pair:   {rate_limit: {requests: 1, window_size: 1h, key: [method, path]}}
`, upstreams)
	for _, tc := range []struct {
		cluster, method, path string
		name, value           string // a header
		ip                    string
		want                  int
	}{
		{"header", "GET", "/", "x-api-key", "alice", "127.0.0.1", 200},
		{"header", "GET", "/", "x-api-key", "alice", "127.0.0.1", 429},
		{"header", "GET", "/", "x-api-key", "bob", "127.0.0.1", 200},
		{"header", "GET", "/", "", "", "127.0.0.1", 200},
		{"header", "GET", "/", "", "", "127.0.0.1", 429},
		{"query", "GET", "/?user=alice", "", "", "127.0.0.1", 200},
		{"query", "GET", "/other?x=y&user=%61lice", "", "", "127.0.0.1", 429},
		{"query", "GET", "/?user=bob", "", "", "127.0.0.1", 200},
		{"cookie", "GET", "/", "cookie", "a=b; sid=1", "127.0.0.1", 200},
		{"cookie", "GET", "/", "cookie", "sid=1; c=d", "127.0.0.1", 429},
		{"cookie", "GET", "/", "cookie", "sid=2", "127.0.0.1", 200},
		{"ip", "GET", "/", "", "", "127.0.0.1", 200},
		{"ip", "GET", "/", "x-forwarded-for", "192.0.2.7", "127.0.0.1", 429},
		{"ip", "GET", "/", "", "", "127.0.0.2", 200},
		{"ip", "GET", "/", "x-forwarded-for", "127.0.0.3", "127.0.0.2", 429},
		{"pair", "GET", "/a", "", "", "127.0.0.1", 200},
		{"pair", "GET", "/a?x=y", "", "", "127.0.0.1", 429},
		{"pair", "HEAD", "/a", "", "", "127.0.0.1", 200},
		{"pair", "GET", "/b", "", "", "127.0.0.1", 200},
	} {
		r := w.request(t.Context(), tc.method, tc.cluster, tc.path)
		if tc.name != "" {
			r.Header.Set(tc.name, tc.value)
		}
		if a := w.from(tc.ip, r); a.status != tc.want {
			t.Errorf("%+v: got %d (%v)", tc, a.status, a.err)
		}
	}
}

// TestFloodOfKeys: keys over the capacity share one limit, a flood resets no other key's limit, and
// no memory grows with it.
func TestFloodOfKeys(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	w := start(t, `
clusters:
  small: {rate_limit: {requests: 1, window_size: 1h, key: [{header: k}], max_keys: 8}}
  flood: {rate_limit: {requests: 2, window_size: 1h, key: [{header: k}], max_keys: 64}}
`, map[string]*upstream.Upstream{"small": u, "flood": u})
	ask := func(cluster, key string) int {
		r := w.request(t.Context(), "GET", cluster, "/")
		r.Header.Set("k", key)
		return w.do(r).status
	}
	for i := range 8 {
		if got := ask("small", strconv.Itoa(i)); got != 200 {
			t.Fatalf("key %d of 8: got status %d, want 200", i, got)
		}
	}
	if first, second := ask("small", "ninth"), ask("small", "tenth"); first != 200 || second != 429 {
		t.Errorf("the ninth and tenth key share one limit of 1: got %d and %d, want 200 and 429", first, second)
	}
	if got := ask("small", "0"); got != 429 {
		t.Errorf("an overflow freed the limit of the first key: got status %d, want 429", got)
	}

	// The victim has used its limit up. Then comes the flood.
	for range 2 {
		if got := ask("flood", "victim"); got != 200 {
			t.Fatalf("the victim's own limit: got status %d, want 200", got)
		}
	}
	flood := func(from, n int) (admitted int) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		const clients = 32
		for c := range clients {
			wg.Go(func() {
				client := http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: 30 * time.Second}
				defer client.CloseIdleConnections()
				mine := 0
				for i := c; i < n; i += clients {
					r := w.request(t.Context(), "GET", "flood", "/")
					r.Header.Set("k", fmt.Sprint("flood-", from+i))
					response, err := client.Do(r)
					if err != nil {
						t.Errorf("%v", err)
						return
					}
					_ = response.Body.Close()
					if response.StatusCode == 200 {
						mine++
					}
				}
				mu.Lock()
				admitted += mine
				mu.Unlock()
			})
		}
		wg.Wait()
		return admitted
	}
	// 64 places, each for a key that sends one request, and 2 requests for all others together.
	if admitted := flood(0, 5000); admitted > 64+2 {
		t.Errorf("got %d requests of the flood admitted, want at most 66", admitted)
	}
	before := w.Stats()["server.memory_allocated"]
	if admitted := flood(5000, 10000); admitted > 64 {
		t.Errorf("got %d more requests of the flood admitted, want at most 64", admitted)
	}
	if got := ask("flood", "victim"); got != 429 {
		t.Errorf("the flood freed the victim's limit: got status %d, want 429", got)
	}
	if grown := w.Stats()["server.memory_allocated"] - before; grown > 4<<20 {
		t.Errorf("10,000 more keys grew Envoy by %.0f bytes, want at most 4 MiB", grown)
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
