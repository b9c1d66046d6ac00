package e2e

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/redis"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest"
)

// quickPolicy is a policy.yaml of a reader.
const quickPolicy = "clusters:\n  aws_pricing:\n    rate_limit: {requests: 2, window_size: 60s}\n    circuit_breaker: {}\n"

// upstreamAt is an upstream at the address that the page has for one.
func (p *docPage) upstreamAt() *upstream.Upstream {
	u := upstream.New(p.T)
	p.ports["8081"] = strconv.Itoa(int(u.Port()))
	return u
}

func (p *docPage) mustShow(what string, want ...string) func(out string) {
	return func(out string) {
		for _, one := range want {
			if !regexp.MustCompile(one).MatchString(out) {
				p.Errorf("%s: got\n%s\nwant %q in it", what, out, one)
			}
		}
	}
}

func contributingPage(p *docPage) {
	p.upstreamAt()
	p.file("policy.yaml", quickPolicy)
	p.ports["9902"] = p.running(quickPolicy).port("weir_admin")
}

func gettingStartedPage(p *docPage) {
	p.upstreamAt()
	p.file("policy.yaml", p.yamlBlock("docs/getting-started.md"))
	p.after["curl -i http://127.0.0.1:10000/"] = func(out string) {
		p.mustShow("the first request", `HTTP/1.1 200`, `x-weir-source: upstream`)(out)
		for range 4 {
			p.command("curl -sf http://127.0.0.1:10000/")
		}
		p.mustShow("the sixth request", `HTTP/1.1 429`)(p.command("curl -si http://127.0.0.1:10000/"))
	}
	p.after["build/weir status"] = p.mustShow("status", `limited +aws_pricing .* +5/min `)
}

func existingEnvoyPage(p *docPage) {
	if err := os.Remove(filepath.Join(p.dir, "etc", "weir.wasm")); err != nil { // the page copies it there
		p.Fatal(err)
	}
	p.file("policy.yaml", p.yamlBlock("docs/existing-envoy.md"))
	p.file("envoy.yaml", userEnvoy(p, "[prices]"))
	p.after["build/weir status"] = p.mustShow("status", `shadow +prices`)
	p.after["build/weir render filter -f policy.yaml --wasm /etc/envoy/weir.wasm --ecds /etc/envoy/weir.ecds.yaml --weir-admin 9902 > pieces.yaml"] = func(string) {
		p.command("cp envoy-weir.yaml envoy.yaml") // as if they were pasted, which TestExistingEnvoy does
	}
}

func istioPage(p *docPage) {
	p.file("policy.yaml", quickPolicy)
	w := p.running(quickPolicy)
	p.ports["9902"] = w.port("weir_admin")
}

func migratingPage(p *docPage) {
	p.file("ratelimit.yaml", "domain: shop\ndescriptors:\n- key: destination_cluster\n  value: catalogue\n  rate_limit: {unit: minute, requests_per_unit: 10}\n")
	p.file("envoy.yaml", userEnvoy(p, "[catalogue]"))
}

func operatingPage(p *docPage) {
	const policy = "clusters:\n  aws_pricing:\n    rate_limit: {requests: 100, window_size: 60s}\n    circuit_breaker: {}\n    fallback: {}\n"
	one, other := p.running(policy), p.running(policy)
	p.ports["9902"], p.ports["9912"], p.ports["9901"] = one.port("weir_admin"), other.port("weir_admin"), one.AdminAddr()[strings.LastIndex(one.AdminAddr(), ":")+1:]
	p.after["build/weir status http://127.0.0.1:9902 http://127.0.0.1:9912"] = p.mustShow("a fleet", `(?s)2 Envoys.*aws_pricing.*aws_pricing`)
	p.after["build/weir status --format flat http://127.0.0.1:9902 aws_pricing"] = p.mustShow("flat", `"failure_count": 0`, `"requests_per_minute": 100`)
	p.after["curl -X POST 'http://127.0.0.1:9901/logging?wasm=debug'"] = func(string) {
		eventually(p.T, func() error {
			one.get("aws_pricing", "/")
			if want := "aws_pricing: circuit_open: circuit breaker is open"; !strings.Contains(one.Logs(), want) {
				return fmt.Errorf("the log has no %q", want)
			}
			return nil
		})
	}
	p.at["The admin listener"] = func() {
		one.get("aws_pricing", "/")
		if strings.Contains(one.Logs(), "aws_pricing: allowed: ") {
			p.Error("decisions are in the log without debug logging")
		}
	}
}

func redisPage(p *docPage) {
	p.upstreamAt()
	p.file("mesh.yaml", strings.ReplaceAll("clusters: {aws_pricing: {rate_limit: {requests: 2, window_size: 60s, scope: mesh}}}\nredis: {dialect: upstash, token: $}\n", "$", `"${WEIR_BRIDGE_TOKEN:-}"`))
	p.ports["6379"] = strconv.Itoa(redistest.NewServer(p.T).Port)
}

func replayPage(p *docPage) {
	const line = `{"start_time":"2026-11-28T10:00:00.000Z","duration":9,"response_code":200,"upstream_cluster":"aws_pricing"}` + "\n"
	p.file("policy.yaml", quickPolicy)
	p.file("next.yaml", strings.Replace(quickPolicy, "requests: 2", "requests: 1", 1))
	p.file("access.log", strings.Repeat(line, 3))
	p.command("gzip < access.log > access.json.gz")
	p.after["weir replay -f policy.yaml access.log "] = p.mustShow("as JSON", `"rate_limited": 1`)
	p.after["weir replay -f policy.yaml --against next.yaml"] = p.mustShow("two policies", `only the second +both +cluster\n +0 +1 +1 +aws_pricing`)
}

// shadowPage is the story of docs/shadow.md: an envoy.yaml with three clusters and JWT.
func shadowPage(p *docPage) {
	p.file("envoy.yaml", userEnvoy(p, "[prices, orders, users]"))
	policy := p.yamlBlock("docs/shadow.md")
	p.file("policy.yaml", policy)
	ask := func(user, path string) answer {
		r, err := http.NewRequestWithContext(p.Context(), http.MethodGet, "http://127.0.0.1:"+p.ports["10000"]+path, nil)
		if err != nil {
			p.Fatal(err)
		}
		if user != "" {
			r.Header.Set("authorization", "Bearer "+token(fmt.Sprintf(`{"iss":"mine","sub":%q}`, user)))
		}
		return send(&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, r)
	}
	seven := func(user string, refused int, reason string) {
		p.Helper()
		if a := ask("", "/prices"); a.status != 401 || a.reason() != "" {
			p.Errorf("without a token: got %+v, want jwt_authn's 401", a)
		}
		for i := range 7 {
			a := ask(user, "/prices")
			want, why := 200, ""
			if i >= 5 {
				want, why = refused, reason
			}
			if a.status != want || a.reason() != why {
				p.Errorf("request %d of %s: got %+v, want %d and the reason %q", i, user, a, want, why)
			}
		}
	}
	p.after["envoy -c envoy-weir.yaml"] = func(string) {
		seven("ann", 200, "shadow_rate_limited")
		if a := ask("ann", "/orders"); a.status != 200 || a.reason() != "" {
			p.Errorf("another cluster: got %+v, want 200", a)
		}
		p.waitStatus(`"rate_limited":2`)
	}
	p.after["weir status"] = p.mustShow("status", `shadow +prices +\S+ +(\S+ +)?100% +5/min each +(\d+ +)?\d+ +2 `, `shadow +orders`, `shadow +users`)
	p.at["Enforce"] = func() { p.file("enforce.yaml", strings.ReplaceAll(policy, "    mode: shadow\n", "")) }
	p.after["weir render filter -f enforce.yaml"] = func(string) {
		p.waitStatus(`"prices":{"mode":"enforce"`)
		seven("bob", 429, "rate_limited")
		if a := ask("ann", "/prices"); a.status != 429 {
			p.Errorf("ann, who had used up her limit in shadow: got %+v, want 429: limits keep their counts", a)
		}
	}
	p.at["Roll back"] = func() { // after Change it live
		p.file("enforce.yaml", strings.ReplaceAll(strings.ReplaceAll(policy, "    mode: shadow\n", ""), "requests: 5,", "requests: 6,"))
		p.command("weir render filter -f enforce.yaml --wasm build/weir.wasm --ecds weir.ecds.yaml > pieces.yaml")
		p.waitStatus(`"requests_per_minute":6,`)
		eventually(p.T, func() error { // one worker says it before the other one has it
			if a := ask("bob", "/prices"); a.status != 200 {
				return fmt.Errorf("one more for bob: got %+v, want 200", a)
			}
			return nil
		})
		if a := ask("bob", "/prices"); a.status != 429 {
			p.Errorf("two more for bob: got %+v, want 429", a)
		}
	}
	p.after["weir render filter -f policy.yaml --wasm build/weir.wasm --ecds weir.ecds.yaml > pieces.yaml"] = func(string) {
		p.waitStatus(`"prices":{"mode":"shadow"`)
		if a := ask("bob", "/prices"); a.status != 200 || a.reason() != "shadow_rate_limited" {
			p.Errorf("back in shadow: got %+v, want 200 and shadow_rate_limited", a)
		}
	}
}

// yamlBlock is the first YAML block of the page.
func (p *docPage) yamlBlock(page string) string {
	p.Helper()
	text, err := os.ReadFile("../" + page)
	if err != nil {
		p.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "```yaml\n")
	block, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		p.Fatalf("%s has no YAML block", page)
	}
	return block
}

// waitStatus waits until GET /status of the page's Envoy has a text.
func (p *docPage) waitStatus(want string) {
	p.Helper()
	c := &console{p.T, "http://127.0.0.1:" + p.ports["9902"]}
	eventually(p.T, func() error {
		if a := c.ask(http.MethodGet, "/status", ""); a.err != nil || !strings.Contains(a.body, want) {
			return fmt.Errorf("GET /status: got %v %s, want %s in it", a.err, a.body, want)
		}
		return nil
	})
}

// userEnvoy is a reader's own envoy.yaml: jwt_authn and clusters, each by the path /CLUSTER.
func userEnvoy(p *docPage, clusters string) string {
	u := upstream.New(p.T)
	var routes, all []string
	for name := range strings.SplitSeq(strings.Trim(clusters, "[]"), ", ") {
		routes = append(routes, fmt.Sprintf(`{match: {prefix: /%s}, route: {cluster: %s}}`, name, name))
		all = append(all, fmt.Sprintf(`{name: %s, load_assignment: {cluster_name: %s, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]}}`, name, name, u.Port()))
	}
	return fmt.Sprintf(`# An envoy.yaml of a reader.
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}
static_resources:
  listeners:
  - name: public
    address: {socket_address: {address: 127.0.0.1, port_value: 10000}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: public
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [%s]}]}
          http_filters:
          - name: envoy.filters.http.jwt_authn
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers:
                mine:
                  issuer: mine
                  local_jwks: {inline_string: '{"keys":[{"kty":"oct","alg":"HS256","k":"%s"}]}'}
                  claim_to_headers: [{header_name: x-user, claim_name: sub}]
              rules: [{match: {prefix: /}, requires: {provider_name: mine}}]
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters: [%s]
`, strings.Join(routes, ", "), base64.RawURLEncoding.EncodeToString(jwtSecret), strings.Join(all, ", "))
}

// running starts an Envoy for a page whose commands do not.
func (p *docPage) running(policy string) *docEnvoy {
	p.Helper()
	o := options(p.T, policy, map[string]*upstream.Upstream{"aws_pricing": upstream.New(p.T)})
	withAdmin(&o)
	return &docEnvoy{startWith(p.T, o)}
}

type docEnvoy struct{ *weir }

func (e *docEnvoy) port(listener string) string {
	address := e.Addr(listener)
	return address[strings.LastIndex(address, ":")+1:]
}

// troubleshootingPage has each of the page's four cases happen before its commands look for it.
func troubleshootingPage(p *docPage) {
	up := map[string]*upstream.Upstream{}
	for _, cluster := range []string{"aws_pricing", "azure_pricing", "gcp_pricing", "quotes"} {
		up[cluster] = upstream.New(p.T)
	}
	server, bridge := redis.Start(p.T, redis.Upstash)
	_ = server
	o := options(p.T, `
clusters:
  aws_pricing:
    circuit_breaker: {failure_threshold: 3, recovery_timeout: 60s}
  azure_pricing:
    rate_limit: {algorithm: adaptive, requests: 4000, window_size: 60s, adaptive_interval: 1s, adaptive_min_samples: 5}
  gcp_pricing:
    fallback: {fallback_data_ttl: 0s, cache_staleness_threshold: 1h, default_data: {body: none}}
  quotes:
    rate_limit: {requests: 1000, window_size: 60s, scope: mesh}
    `+retryRules("filter", "max_attempts: 2")+`
redis: {dialect: `+bridge.Dialect()+`, token: `+meshToken+`}
`, up)
	o.Redis = &render.Upstream{Name: "redis_http", Host: "127.0.0.1", Port: uint32(bridge.Port)}
	withAdmin(&o)
	w := &docEnvoy{startWith(p.T, o)}
	p.ports["9902"], p.ports["9901"], p.ports["8081"] = w.port("weir_admin"), w.AdminAddr()[strings.LastIndex(w.AdminAddr(), ":")+1:], strconv.Itoa(int(up["aws_pricing"].Port()))
	p.ports["10000"] = w.url[strings.LastIndex(w.url, ":")+1:]
	wait := w.console().waitStatus

	p.at["Clients get 429 or 503"] = func() { w.console().post("/breaker/aws_pricing/open") }
	p.after["curl -s -D -"] = p.mustShow("Weir's answer", `(?i)http/1.1 503`, `(?i)x-weir-reason: circuit_open`, `(?i)x-weir-source: error`)
	p.after["weir breaker close"] = func(string) { wait("aws_pricing", map[string]any{"circuit_breaker.forced": "closed"}) }
	p.after["weir breaker auto"] = func(string) {
		wait("aws_pricing", map[string]any{"circuit_breaker.forced": "auto", "circuit_breaker.state": "closed"})
		w.console().post("/reset/aws_pricing")
	}

	p.at["A circuit breaker stays open"] = func() {
		up["aws_pricing"].Set(upstream.Status(503))
		for range 3 {
			w.get("aws_pricing", "/")
		}
		wait("aws_pricing", map[string]any{"circuit_breaker.state": "open"})
		up["aws_pricing"].Set(upstream.OK())
	}
	p.after["weir status http://127.0.0.1:9902 aws_pricing"] = p.mustShow("an open breaker", `: open: opened \d+s ago by 3 failures in a row; the next probe in \d+[ms]`,
		`circuit breaker +open for \d+s \(3 failures in a row\)`, `recovery timeout 1m`)
	p.after["curl -s -o /dev/null"] = p.mustShow("the service itself", `^200\n$`)
	p.after["curl -s http://127.0.0.1:9901/clusters"] = p.mustShow("Envoy's hosts", `aws_pricing::127.0.0.1:\d+::health_flags::healthy`)
	p.after["weir reset"] = func(string) {
		if a := w.get("aws_pricing", "/"); a.status != 200 {
			p.Errorf("after the reset: got %+v, want 200", a)
		}
	}

	p.at["A limit refuses too much"] = func() {
		up["azure_pricing"].Set(upstream.Status(500))
		for range 6 {
			w.get("azure_pricing", "/")
		}
		eventually(p.T, func() error { // the limit is looked at with the next request after adaptive_interval
			w.get("azure_pricing", "/")
			s, err := w.console().get("/status/azure_pricing")
			if n, _ := s.at("rate_limit.requests_per_minute").(float64); err != nil || n == 0 || n >= 4000 {
				return fmt.Errorf("%v: requests_per_minute is %v, want less than 4000", err, n)
			}
			return nil
		})
	}
	p.after["weir status http://127.0.0.1:9902 azure_pricing"] = p.mustShow("a lowered limit", `: (lowered|limited): `, `adaptive, scope proxy, \d+ of 4000/min`, `success rate`)
	p.after["weir status --format flat"] = p.mustShow("flat", `"requests_per_minute": [1-3]?\d{1,3}(\.\d+)?,`, `"configured_requests_per_minute": 4000`, `"success_rate": 0(\.\d+)?,`)

	p.at["Fallback data is stale"] = func() {
		up["gcp_pricing"].Set(upstream.Body("old").Header("cache-control", "public"))
		w.get("gcp_pricing", "/prices")
		up["gcp_pricing"].Set(upstream.Status(500))
		eventually(p.T, func() error {
			if a := w.get("gcp_pricing", "/prices"); a.source() != "stale_cache" {
				return fmt.Errorf("got %+v, want a stale answer", a)
			}
			return nil
		})
		w.get("gcp_pricing", "/other") // nothing is kept of it
		wait("gcp_pricing", map[string]any{"answers.default": 1})
	}
	p.after["curl -si"] = p.mustShow("a stale answer", `(?i)x-weir-source: stale_cache`, `(?i)age: \d+`, `(?i)warning: 110`, `(?i)cache-status: weir; fwd=stale`)
	p.after["weir status http://127.0.0.1:9902 gcp_pricing"] = p.mustShow("its sources", `answers +.*\d+ stale cache, 1 default`)
	p.after["weir cache invalidate"] = func(string) {
		if a := w.get("gcp_pricing", "/prices"); a.source() != "default" {
			p.Errorf("after invalidate: got %+v, want default data", a)
		}
	}

	p.at["Answers take long"] = func() {
		up["quotes"].Set(upstream.Status(500))
		w.get("quotes", "/")
		w.WaitMetric(`weir_retries_total{cluster="quotes"}`, engine.Exactly(1))
		w.WaitMetric(`weir_redis_calls_total{result="ok"}`, engine.AtLeast(1))
		wait("quotes", map[string]any{"retry.attempts_total": 1})
	}
	p.after["weir status http://127.0.0.1:9902 quotes"] = p.mustShow("retries", `retry +1 made, 1 requests failed after their last retry`)
	p.after["curl -s http://127.0.0.1:9901/stats/prometheus | grep -E '^weir_(retries"] = p.mustShow("retries", `weir_retries_total\{cluster="quotes"\} 1`, `weir_retries_exhausted_total`)
	p.after["curl -s http://127.0.0.1:9901/stats/prometheus | grep -E '^weir_redis"] = p.mustShow("Redis", `weir_redis_calls_total\{result="ok"\} \d`, `weir_redis_latency_ms_count(\{\})? \d`)
}
