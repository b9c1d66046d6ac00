package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/filter/adminapi"
)

// tiers is an Envoy with a listener for each row of earlierFilters, and two clusters for each: ROW-gold, whose upstream
// always fails, and ROW-free.
type tiers struct {
	*weir
	gold, free *upstream.Upstream
}

const tierPolicy = `
clusters:
  "*-gold":
    circuit_breaker: {failure_threshold: 3, recovery_timeout: 1h}
    rate_limit: {algorithm: adaptive, requests: 6000, backoff_factor: 0.5, adaptive_interval: 100ms, adaptive_min_samples: 2}
  "*-free":
    circuit_breaker: {failure_threshold: 3, recovery_timeout: 1h}
    fallback: {enable_cache_fallback: false, default_data: {body: default of free}}
`

// startTiers starts it. Resolved says whether the filter that render puts before Weir is there.
func startTiers(t *testing.T, resolved bool) tiers {
	t.Helper()
	x := tiers{gold: upstream.New(t), free: upstream.New(t)}
	x.gold.Set(upstream.Status(500).Body("gold failed"))
	x.free.Set(upstream.Body("free"))
	authz := upstream.New(t)
	authz.Set(upstream.Func(func(w http.ResponseWriter, r *http.Request) {
		if plan := r.Header.Get("x-plan"); plan != "" {
			w.Header().Set("x-tier", plan)
		}
	}))
	o := options(t, tierPolicy, map[string]*upstream.Upstream{"authz": authz})
	o.Upstreams = append(o.Upstreams, render.Upstream{Name: "grpc-authz", Host: "127.0.0.1", Port: startTierService(t), HTTP2: true})
	for _, row := range earlierFilters {
		o.Upstreams = append(o.Upstreams,
			render.Upstream{Name: row.name + "-gold", Host: "127.0.0.1", Port: x.gold.Port()},
			render.Upstream{Name: row.name + "-free", Host: "127.0.0.1", Port: x.free.Port()})
	}
	o.Admin = "9902"
	dir := engine.Dir(t)
	bootstrap, err := render.Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range earlierFilters {
		addListener(t, bootstrap, row.name, func(manager *hcmv3.HttpConnectionManager) {
			if !resolved {
				manager.HttpFilters = slices.DeleteFunc(manager.GetHttpFilters(), func(f *hcmv3.HttpFilter) bool { return f.GetName() == "resolve_route" })
			}
			row.put(t, manager, strings.NewReplacer("GOLD", row.name+"-gold", "FREE", row.name+"-free",
				"TIER_WASM", filepath.Join(dir, "tier.wasm")))
		})
	}
	files := map[string][]byte{"tier.wasm": moduleBytes(t, tierModule)}
	e := engine.Start(t, engine.Config{Bootstrap: bootstrap, Dir: dir, Files: files})
	x.weir = &weir{Envoy: e, t: t, url: e.URL()}
	return x
}

// addListener adds a copy of the first listener, under another name and changed.
func addListener(t *testing.T, b *bootstrapv3.Bootstrap, name string, change func(*hcmv3.HttpConnectionManager)) {
	t.Helper()
	l := proto.CloneOf(b.GetStaticResources().GetListeners()[0])
	l.Name = name
	filter := l.GetFilterChains()[0].GetFilters()[0]
	var manager hcmv3.HttpConnectionManager
	if err := filter.GetTypedConfig().UnmarshalTo(&manager); err != nil {
		t.Fatal(err)
	}
	change(&manager)
	typed, err := anypb.New(&manager)
	if err != nil {
		t.Fatal(err)
	}
	filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: typed}
	b.GetStaticResources().Listeners = append(b.GetStaticResources().Listeners, l)
}

// ask sends a request to the listener of a row.
func (x tiers) ask(row *earlier, http2 bool, headers ...string) answer {
	x.t.Helper()
	r, err := http.NewRequestWithContext(x.t.Context(), http.MethodGet, "http://"+x.Addr(row.name)+"/", nil)
	if err != nil {
		x.t.Fatal(err)
	}
	headers = append(slices.Clone(row.headers), headers...)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], strings.NewReplacer("GOLD", row.name+"-gold", "FREE", row.name+"-free").Replace(headers[i+1]))
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if http2 {
		transport.Protocols = &http.Protocols{}
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	return x.doBy(transport, r)
}

// TestWhichCluster: the policy of the cluster that a request goes to decides about it, whatever filter before Weir has
// changed its route. Eight requests to gold, which always fails, open gold's breaker and not that of free.
func TestWhichCluster(t *testing.T) {
	t.Parallel()
	x := startTiers(t, true)
	for _, row := range earlierFilters {
		t.Run(row.name, func(t *testing.T) {
			x := tiers{x.in(t), x.gold, x.free}
			if row.kept {
				x.staysFree(&row)
				return
			}
			var statuses []string
			for i := range 8 {
				a := x.ask(&row, i%2 == 1, plans...)
				statuses = append(statuses, fmt.Sprint(a.status, a.reason()))
			}
			want := []string{"500upstream_failure", "500upstream_failure", "500upstream_failure"}
			for range 5 {
				want = append(want, "503circuit_open")
			}
			if !slices.Equal(statuses, want) {
				t.Fatalf("8 requests to gold: got %q, want %q", statuses, want)
			}
			if strings.HasPrefix(row.name, "jwt") {
				row.headers = nil // the plan is in the token
			}
			if a := x.ask(&row, false); a.status != 200 || a.body != "free" || a.source() != "upstream" {
				t.Fatalf("a request to free: got %+v, want status 200 of upstream", a)
			}
			x.WaitMetric(fmt.Sprintf(`weir_requests_total{cluster="%s-gold",decision="allowed"}`, row.name), engine.Exactly(3))
			x.WaitMetric(fmt.Sprintf(`weir_requests_total{cluster="%s-gold",decision="circuit_open"}`, row.name), engine.Exactly(5))
			x.WaitMetric(fmt.Sprintf(`weir_requests_total{cluster="%s-free",decision="allowed"}`, row.name), engine.Exactly(1))
		})
	}
	x.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestMisroutedIsNoticed: without the filter that render puts before Weir, the policy of the first route's cluster
// decides. The answers show where the requests went: gold's failures open gold's breaker and not free's, are not replaced
// by free's default data, and are reported.
func TestMisroutedIsNoticed(t *testing.T) {
	t.Parallel()
	x := startTiers(t, false)
	for _, row := range earlierFilters {
		t.Run(row.name, func(t *testing.T) {
			x := tiers{x.in(t), x.gold, x.free}
			if row.kept {
				x.staysFree(&row)
				return
			}
			for i := range 8 {
				if a := x.ask(&row, i%2 == 1, plans...); a.status != 500 || a.body != "gold failed" {
					t.Fatalf("request %d to gold: got %+v, want gold's own failure", i, a)
				}
			}
			if strings.HasPrefix(row.name, "jwt") {
				row.headers = nil // the plan is in the token
			}
			if a := x.ask(&row, false); a.status != 200 || a.body != "free" || a.source() != "upstream" {
				t.Fatalf("a request to free: got %+v, want status 200 of upstream", a)
			}
			gold, free := row.name+"-gold", row.name+"-free"
			x.WaitMetric(fmt.Sprintf(`weir_misrouted_total{cluster=%q,to=%q}`, free, gold), engine.Exactly(8))
			x.WaitMetric(fmt.Sprintf(`weir_breaker_transitions_total{cluster=%q,to="open"}`, gold), engine.Exactly(1))
			eventually(t, func() error {
				status := x.status(t)
				if got := status.Clusters[gold].Breaker; got == nil || got.State != "open" {
					return fmt.Errorf("gold's breaker: got %+v, want open", got)
				}
				if got := status.Clusters[gold].RateLimit; got == nil || got.SuccessRate == nil || *got.SuccessRate != 0 {
					return fmt.Errorf("gold's adaptive limit: got %+v, want that it has seen failures alone", got)
				}
				if got := status.Clusters[free].Breaker; got == nil || got.State != "closed" || got.FailureCount != 0 {
					return fmt.Errorf("free's breaker: got %+v, want closed, without failures", got)
				}
				if got := status.Misrouted; got == nil || got.Cluster != free || got.To != gold || got.Total != 8 {
					return fmt.Errorf("misrouted: got %+v, want 8 from %s to %s", got, free, gold)
				}
				return nil
			})
			line := fmt.Sprintf("the policy of %q decided about a request that went to %q: another filter changed its route; put a CORS filter", free, gold)
			if n := strings.Count(x.Logs(), line); n != 1 {
				t.Errorf("got %d log lines with %q, want 1", n, line)
			}
		})
	}
	x.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// status is what Weir's admin interface says.
func (x tiers) status(t *testing.T) (s adminapi.Status) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+x.Addr("weir_admin")+"/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	a := x.do(r)
	if err := json.Unmarshal([]byte(a.body), &s); a.err != nil || err != nil {
		t.Fatalf("GET /status: got %+v, %v", a, err)
	}
	return s
}

// staysFree: a filter that changes a header without clearing the route changes nothing.
func (x tiers) staysFree(row *earlier) {
	x.t.Helper()
	for range 4 {
		if a := x.ask(row, false, plans...); a.status != 200 || a.body != "free" {
			x.t.Errorf("nothing clears the route: got %+v, want the answer of free", a)
		}
	}
	x.WaitMetric(fmt.Sprintf(`weir_requests_total{cluster="%s-free",decision="allowed"}`, row.name), engine.Exactly(4))
}
