package e2e

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestHostileClients: what a client writes into its request neither chooses where the request goes, nor gets it past a
// limit, nor opens a breaker, nor writes into the log. Each row is a request that is sent several times, as a client with
// an external and with an internal address, whose x-envoy headers Envoy obeys.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 40<<10)
	headers := []struct{ name, lines string }{
		{"Weir's own headers", "x-weir-cluster: secret\r\nx-weir-source: cache\r\nx-weir-reason: circuit_open\r\nx-weir-fallback-used: true"},
		{"Weir's own, spelled otherwise", "x_weir_cluster: secret\r\nX-WEIR_Cluster: secret\r\nx_weir_attempt: 1"},
		{"Weir's own, nominated by connection", "connection: close, x-weir-cluster, x-weir-source, x-envoy-max-retries\r\nx-weir-cluster: secret"},
		{"an attempt of Weir", "x-weir-attempt: 1\r\nx-weir-client: 10.0.0.1"},
		{"an attempt, guessed", "x-weir-attempt: 0000000000000001-1\r\nx-weir-attempt: 1-1-1"},
		{"another Weir's via", "via: 1.1 weir\r\nvia: HTTP/1.1 weir, 2 weir_attempts\r\nx-weir-source: upstream"},
		{"a loop", "via: " + strings.TrimSuffix(strings.Repeat("1.1 weir, ", 200), ", ") + "\r\nmax-forwards: 0\r\ncdn-loop: weir; weir"},
		{"another host", "x-forwarded-host: secret\r\nx-envoy-original-dst-host: 127.0.0.1:1\r\nx-host: secret\r\nforwarded: host=secret;for=10.0.0.1"},
		{"another path", "x-envoy-original-path: /secret\r\nx-original-url: /secret\r\nx-rewrite-url: /secret"},
		{"another address", "x-forwarded-for: 10.0.0.#, 10.1.0.#\r\nx-envoy-external-address: 10.0.0.#\r\nx-real-ip: 10.0.0.#\r\ntrue-client-ip: 10.0.0.#"},
		{"attempts of the router", "x-envoy-retry-on: 5xx,reset\r\nx-envoy-max-retries: 20\r\nx-envoy-retry-grpc-on: unavailable"},
		{"a request of another kind", "x-envoy-internal: true\r\nx-envoy-force-trace: true\r\nx-envoy-ratelimited: true\r\nx-envoy-immediate-health-check-fail: true"},
		{"statistics of another", "x-envoy-upstream-alt-stat-name: a.b;c\r\nx-envoy-upstream-service-time: -1\r\nx-envoy-attempt-count: 99"},
		{"a log line", "user-agent: a\\n[critical] forged \x80\xff\xc3( \u202e\r\nx-request-id: %0a[critical] forged"}, // no referer: Envoy removes one that is no URL
		{"a long value", "x-api-key: " + long},
		{"many headers", strings.TrimSuffix(strings.Repeat("x-h: y\r\n", 90), "\r\n")},
		{"a key written twice", "x-api-key: a#\r\nx-api-key: b#\r\nx_api_key: c#"},
	}
	for _, internal := range []bool{false, true} {
		policy, upstreams := "clusters:\n", map[string]*upstream.Upstream{"secret": upstream.New(t)}
		for i := range headers {
			policy += fmt.Sprintf(`
  home-%[1]d: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, failover: {to: [away-%[1]d]}}
  away-%[1]d: {circuit_breaker: {failure_threshold: 3}}
  limited-%[1]d: {rate_limit: {requests: 3, window_size: 1h}, circuit_breaker: {failure_threshold: 3}}
  byip-%[1]d: {rate_limit: {requests: 3, window_size: 1h, key: [client_ip]}}
  bykey-%[1]d: {rate_limit: {requests: 3, window_size: 1h, key: [{header: x-api-key}]}}
`, i)
			for _, name := range []string{"home", "away", "limited", "byip", "bykey"} {
				cluster := fmt.Sprintf("%s-%d", name, i)
				upstreams[cluster] = upstream.New(t)
				upstreams[cluster].Set(upstream.Body(cluster))
			}
		}
		var changes []func(*bootstrapv3.Bootstrap)
		if internal {
			changes = append(changes, trustClients(t))
		}
		w := startWith(t, options(t, policy, upstreams), changes...)
		for i := range headers {
			upstreams[fmt.Sprintf("home-%d", i)].Set(upstream.Status(500))
			w.get(fmt.Sprintf("home-%d", i), "/")
		}
		n := 0
		for i, h := range headers {
			t.Run(fmt.Sprintf("internal %t/%s", internal, h.name), func(t *testing.T) {
				w := w.in(t)
				ask := func(cluster string) answer {
					n++
					lines := strings.ReplaceAll(h.lines, "#", fmt.Sprint(n%250))
					if !strings.Contains(lines, "connection: ") {
						lines += "\r\nconnection: close"
					}
					return w.raw("GET", fmt.Sprintf("GET /%%0a%%1b[31m/%%e2%%80%%ae?q=%d HTTP/1.1\r\nhost: %s-%d\r\n%s\r\n\r\n", n, cluster, i, lines))
				}
				away := fmt.Sprintf("away-%d", i)
				for range 2 {
					if a := ask("home"); a.status != 200 || a.body != away {
						t.Errorf("while the breaker of home is open: got %d %q, want the answer of %s", a.status, a.body, away)
					}
				}
				for _, cluster := range []string{"limited", "byip", "bykey"} {
					passed := 0
					for range 5 {
						if a := ask(cluster); a.status == 200 {
							passed++
						} else if a.status != 429 || a.reason() != "rate_limited" {
							t.Errorf("%s: got %d %v %q, want 200 or 429", cluster, a.status, a.err, a.body)
						}
					}
					u := upstreams[fmt.Sprintf("%s-%d", cluster, i)]
					if got := u.Count(); passed != 3 || got != 3 {
						t.Errorf("%s: got %d of 5 admitted, %d at upstream, want 3", cluster, passed, got)
					}
				}
			})
		}
		if got := upstreams["secret"].Count(); got != 0 {
			t.Errorf("internal %t: got %d requests at the cluster that clients named, want none", internal, got)
		}
		for line := range strings.Lines(w.Logs()) {
			if strings.ContainsAny(line, "\x1b\u202e") || !utf8.ValidString(line) || strings.HasPrefix(line, "[critical]") {
				t.Errorf("internal %t: got a log line of a client: %q", internal, line)
			}
		}
		w.WaitMetric("weir_faults_total", engine.Exactly(0))
	}
}
