package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	setmetadatav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_metadata/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestAttemptsThatCannotBeCarried: the response to a further attempt is good, but Weir can't pass it on, or may not make
// the attempt at all. The client gets upstream's first response, and nobody failed by that.
func TestAttemptsThatCannotBeCarried(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 40<<16) // 40 MiB
	tests := []struct {
		name     string
		second   upstream.Behaviour
		attempts int // that upstream sees; with two GETs
		accept   string
		reason   string // in weir_attempts_uncarried_total, twice
	}{
		{"long", upstream.Body(long).Header("Content-Length", strconv.Itoa(len(long))), 4, "*/*", "response_too_long"},
		{"long-in-pieces", upstream.Pieces(0, long[:5<<20], long[5<<20:]), 4, "*/*", "response_too_long"},
		{"events", upstream.Func(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("content-type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}), 4, "*/*", "response_event_stream"},
		{"events-asked-for", upstream.Body("never"), 2, "application/json, text/event-stream", "event_stream"},
		{"trailers-http2", upstream.Func(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("trailer", "x-sum")
			_, _ = w.Write([]byte("body"))
			w.Header().Set("x-sum", "1")
		}), 4, "*/*", "response_trailers"},
		{"metadata", upstream.Body("never"), 2, "*/*", "metadata"},
		{"denied", upstream.Body("never"), 2, "*/*", "local_answer"},
		{"upload", upstream.Body("never"), 2, "*/*", "request_too_long"},
	}
	policy, upstreams := "clusters:\n", map[string]*upstream.Upstream{}
	for _, test := range tests {
		// A third failure would open the breaker: the first attempts of two GETs are two.
		policy += fmt.Sprintf("  %s: {%s, circuit_breaker: {failure_threshold: 3, recovery_timeout: 1h}}\n", test.name, retryRules("filter", "max_attempts: 2"))
		upstreams[test.name] = upstream.New(t)
		upstreams[test.name].ScriptAttempts(numberHeader, upstream.Any, upstream.Status(503).Body("sorry"), test.second)
	}
	o := withHTTP2(options(t, policy, upstreams))
	withAdmin(&o)
	w := startWith(t, o, func(b *bootstrapv3.Bootstrap) {
		everyManager(t, b, func(listener string, m *hcmv3.HttpConnectionManager) {
			for _, host := range m.GetRouteConfig().GetVirtualHosts() {
				if listener != "traffic" && host.GetName() == "denied" { // as RBAC would, or a limit
					host.Routes = []*routev3.Route{{
						Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
						Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 403}},
					}}
				}
			}
			if listener == "traffic" {
				m.HttpFilters = append([]*hcmv3.HttpFilter{noted(t)}, m.GetHttpFilters()...)
				for _, host := range m.GetRouteConfig().GetVirtualHosts() {
					if host.GetName() != "metadata" {
						off, err := anypb.New(&routev3.FilterConfig{Disabled: true})
						if err != nil {
							t.Fatal(err)
						}
						host.TypedPerFilterConfig = map[string]*anypb.Any{"noted": off}
					}
				}
			}
		})
	})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := w.in(t)
			for range 2 {
				r, _ := w.numberedRequest("GET", test.name, "/")
				r.Header.Set("accept", test.accept)
				if test.name == "upload" { // one byte more than max_body_bytes
					r.Method, r.Body, r.ContentLength = "PUT", io.NopCloser(strings.NewReader(long[:65537])), -1
				}
				a := w.do(r)
				answeredOnce(t, a)
				if a.status != 503 || a.body != "sorry" || a.reason() != "upstream_failure" {
					t.Errorf("got %+v, want upstream's first response", a)
				}
			}
			if got := upstreams[test.name].Count(); got != test.attempts {
				t.Errorf("got %d attempts, want %d", got, test.attempts)
			}
			w.WaitMetric(fmt.Sprintf(`weir_attempts_uncarried_total{cluster=%q,reason=%q}`, test.name, test.reason), engine.Exactly(2))
			if state := w.Prometheus()[`weir_breaker_state{cluster="`+test.name+`"}`]; state != 0 {
				t.Errorf("got breaker state %v, want closed", state)
			}
			w.console().waitStatus(test.name, map[string]any{"retry.uncarried." + test.reason + ".count": 2})
		})
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// noted is a filter that sets dynamic metadata, as those that authenticate do.
func noted(t *testing.T) *hcmv3.HttpFilter {
	t.Helper()
	value, err := structpb.NewStruct(map[string]any{"sub": "alice"})
	if err != nil {
		t.Fatal(err)
	}
	typed, err := anypb.New(&setmetadatav3.Config{Metadata: []*setmetadatav3.Metadata{{MetadataNamespace: "auth", Value: value}}})
	if err != nil {
		t.Fatal(err)
	}
	return &hcmv3.HttpFilter{Name: "noted", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: typed}}
}

// TestAttemptsFollowWeightedClusters: a further attempt goes to the cluster whose policy decided, though the route chooses
// anew.
func TestAttemptsFollowWeightedClusters(t *testing.T) {
	t.Parallel()
	upstreams := map[string]*upstream.Upstream{"blue": upstream.New(t), "green": upstream.New(t)}
	for name, u := range upstreams {
		u.ScriptAttempts(numberHeader, upstream.Any, upstream.Status(503), upstream.Body(name))
	}
	rules := retryRules("filter", "")
	w := startWith(t, options(t, fmt.Sprintf("clusters: {blue: {%s}, green: {%s}}", rules, rules), upstreams), func(b *bootstrapv3.Bootstrap) {
		everyManager(t, b, func(_ string, m *hcmv3.HttpConnectionManager) {
			for _, host := range m.GetRouteConfig().GetVirtualHosts() {
				host.GetRoutes()[0].GetRoute().ClusterSpecifier = &routev3.RouteAction_WeightedClusters{WeightedClusters: &routev3.WeightedCluster{
					Clusters: []*routev3.WeightedCluster_ClusterWeight{
						{Name: "blue", Weight: wrapperspb.UInt32(50)}, {Name: "green", Weight: wrapperspb.UInt32(50)},
					},
				}}
			}
		})
	})
	good := 0
	for range 40 {
		r, id := w.numberedRequest("GET", "blue", "/")
		a := w.do(r)
		blue, green := len(upstreams["blue"].Attempts(numberHeader, id)), len(upstreams["green"].Attempts(numberHeader, id))
		if blue > 0 && green > 0 {
			t.Errorf("got %d attempts at blue and %d at green, want all at one", blue, green)
		}
		if a.status == 200 {
			good++
		}
	}
	if good < 38 {
		t.Errorf("got %d good responses of 40, want all but one in 250", good)
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestMemoryOfAttempts: a hundred requests at once whose further attempts are answered with 30 MB each, with and without
// a length.
func TestMemoryOfAttempts(t *testing.T) {
	if testing.Short() {
		t.Skip("one engine is enough for this")
	}
	t.Parallel()
	piece := make([]byte, 1<<20)
	long := func(length bool) upstream.Behaviour {
		return upstream.Func(func(w http.ResponseWriter, _ *http.Request) {
			if length {
				w.Header().Set("content-length", strconv.Itoa(30*len(piece)))
			}
			for range 30 {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		})
	}
	upstreams := map[string]*upstream.Upstream{"told": upstream.New(t), "chunked": upstream.New(t)}
	for name, u := range upstreams {
		u.ScriptAttempts(numberHeader, upstream.Any, upstream.Status(503).Body("sorry"), long(name == "told"))
	}
	rules := retryRules("filter", "max_attempts: 2")
	w := start(t, fmt.Sprintf("clusters: {told: {%s}, chunked: {%s}}", rules, rules), upstreams)
	w.get("told", "/")
	before := residentMB(t, w.PID())
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			r, _ := w.numberedRequest("GET", []string{"told", "chunked"}[i%2], "/")
			if a := w.do(r); a.status != 503 || a.body != "sorry" {
				t.Errorf("got %d with %d bytes and %v, want upstream's first response", a.status, len(a.body), a.err)
			}
		})
	}
	all.Wait()
	after := residentMB(t, w.PID())
	t.Logf("%d MB before, at most %d MB", before, after)
	const bound = 2 * 2 * 32 // 2 workers, 32 MiB each; as much again on its way through sockets and windows
	if after-before > bound {
		t.Errorf("got %d MB more, want at most %d", after-before, bound)
	}
}

// residentMB is the most memory that a process had resident so far.
func residentMB(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	kB, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kB >> 10
}
