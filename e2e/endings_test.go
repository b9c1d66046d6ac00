package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	commonfaultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"golang.org/x/net/http2"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// counts is what one more ending did to a breaker that had counted two failures.
type counts int

const (
	isFailure counts = 3
	isNeither counts = 2
	isSuccess counts = 0
	isBoth    counts = 1 // a stream that was accepted, and failed later

	// The same of a further attempt by the filter, whose first attempt was a failure, too.
	attemptFailed  counts = 4
	attemptNeither counts = 3
)

// ending is one row of docs/endings.md: a request of a scripted client to a scripted upstream, on a route with its
// timers. Its name is its cluster's; grpc… speaks HTTP/2 to upstream.
type ending struct {
	name   string
	rules  string // in circuit_breaker, besides failure_threshold
	policy string // further sections
	route  func(*routev3.RouteAction)
	up     http.HandlerFunc // or
	raw    func(*net.TCPConn, *http.Request)
	raw2   func(*frames, uint32)
	refuse bool
	client func(w *weir, cluster string)
	sent   int // requests of client, 0: one
	counts counts
}

// TestEndings: each way in which a request can end, and what it counts as. Clients are slow, or leave, on purpose.
func TestEndings(t *testing.T) {
	t.Parallel()
	rows := endings(t)
	var policy strings.Builder
	policy.WriteString("clusters:\n")
	o := render.Options{}
	var more []render.Upstream
	upstreams := map[string]*upstream.Upstream{}
	for i := range rows {
		e := &rows[i]
		rules := "failure_threshold: 9"
		if e.rules != "" {
			rules += ", " + e.rules
		}
		fmt.Fprintf(&policy, "  %s: {circuit_breaker: {%s}, bulkhead: {max_concurrent: 100}%s}\n", e.name, rules, e.policy)
		switch {
		case e.raw != nil:
			more = append(more, render.Upstream{Name: e.name, Host: "127.0.0.1", Port: scripted(t, e.raw)})
		case e.raw2 != nil:
			more = append(more, render.Upstream{Name: e.name, Host: "127.0.0.1", Port: scripted2(t, e.raw2), HTTP2: true})
		default:
			u := upstream.New(t)
			u.When(upstream.Path("/fail"), upstream.Status(500))
			if e.up != nil {
				u.Set(upstream.Func(e.up))
			}
			if e.refuse {
				u.Refuse()
			}
			upstreams[e.name] = u
		}
	}
	o = options(t, policy.String(), upstreams)
	o.Upstreams = append(o.Upstreams, more...)
	withAdmin(&o)
	w := startWith(t, o, func(b *bootstrapv3.Bootstrap) { timers(t, b, rows) })
	for _, e := range rows {
		for range 2 {
			w.get(e.name, "/fail")
		}
		w.console().waitStatus(e.name, map[string]any{"circuit_breaker.failure_count": 2, "bulkhead.in_flight": 0})
	}
	var clients sync.WaitGroup // all at once: subtests would wait for each other, as many at a time as there are CPUs
	for _, e := range rows {
		clients.Go(func() { e.client(w, e.name) })
	}
	clients.Wait()
	for _, e := range rows {
		t.Run(e.name, func(t *testing.T) {
			w.in(t).console().waitStatus(e.name, map[string]any{
				"circuit_breaker.failure_count": int(e.counts), "circuit_breaker.opens_total": 0, // by a rate
				"bulkhead.in_flight": 0, "requests.allowed": 2 + max(e.sent, 1),
			})
		})
	}
	if faults := w.Prometheus()["weir_faults_total"]; faults != 0 {
		t.Errorf("got %v faults, want 0", faults)
	}
}

// timers gives the routes of the rows their timers, and Envoy what the rows need.
func timers(t *testing.T, b *bootstrapv3.Bootstrap, rows []ending) {
	changeHCM(t, b, func(hcm *hcmv3.HttpConnectionManager) {
		hcm.RequestTimeout = durationpb.New(2 * time.Second)
		hcm.HttpFilters = slices.Insert(hcm.GetHttpFilters(), len(hcm.GetHttpFilters())-1, answersLocally(t))
		hcm.HttpFilters = slices.Insert(hcm.GetHttpFilters(), 0, delays(t))
		for _, host := range hcm.GetRouteConfig().GetVirtualHosts() {
			for _, e := range rows {
				if host.GetDomains()[0] != e.name || e.route == nil {
					continue
				}
				for _, r := range host.GetRoutes() {
					e.route(r.GetRoute())
				}
			}
		}
	})
	for _, c := range b.GetStaticResources().GetClusters() {
		switch c.GetName() {
		case "whole-cluster-duration":
			var o httpv3.HttpProtocolOptions
			if packed := c.GetTypedExtensionProtocolOptions()["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]; packed != nil {
				if err := packed.UnmarshalTo(&o); err != nil {
					t.Fatal(err)
				}
			} else {
				o.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
					ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{},
				}}
			}
			o.CommonHttpProtocolOptions = &corev3.HttpProtocolOptions{MaxStreamDuration: durationpb.New(300 * time.Millisecond)}
			packed, err := anypb.New(&o)
			if err != nil {
				t.Fatal(err)
			}
			c.TypedExtensionProtocolOptions = map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": packed}
		case "overflow":
			c.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{MaxRequests: wrapperspb.UInt32(1)}}}
		case "no-host":
			c.GetLoadAssignment().Endpoints = nil
		}
	}
}

// answersLocally is a filter behind Weir that answers requests for /local itself, with 503.
func answersLocally(t *testing.T) *hcmv3.HttpFilter {
	t.Helper()
	config, err := anypb.New(&luav3.Lua{DefaultSourceCode: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: `
function envoy_on_request(h)
  if h:headers():get(":path") == "/local" then h:respond({[":status"] = "503"}, "mine") end
end`}}})
	if err != nil {
		t.Fatal(err)
	}
	return &hcmv3.HttpFilter{Name: "local", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config}}
}

// delays is a filter before Weir that keeps a request for as long as its x-envoy-fault-delay-request says, in milliseconds.
func delays(t *testing.T) *hcmv3.HttpFilter {
	t.Helper()
	config, err := anypb.New(&faultv3.HTTPFault{Delay: &commonfaultv3.FaultDelay{
		FaultDelaySecifier: &commonfaultv3.FaultDelay_HeaderDelay_{HeaderDelay: &commonfaultv3.FaultDelay_HeaderDelay{}},
		Percentage:         &typev3.FractionalPercent{Numerator: 100},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return &hcmv3.HttpFilter{Name: "delays", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config}}
}

// The timers of Envoy, as short as a test likes them.
const short = 400 * time.Millisecond

func routeTimeout(r *routev3.RouteAction) { r.Timeout = durationpb.New(short) }

func idleTimeout(r *routev3.RouteAction) {
	r.Timeout, r.IdleTimeout = durationpb.New(0), durationpb.New(short)
}

func noTimeout(r *routev3.RouteAction) {
	r.Timeout, r.IdleTimeout = durationpb.New(0), durationpb.New(0)
}

func maxDuration(r *routev3.RouteAction) {
	r.Timeout = durationpb.New(0)
	r.MaxStreamDuration = &routev3.RouteAction_MaxStreamDuration{MaxStreamDuration: durationpb.New(short)}
}

func grpcTimeout(r *routev3.RouteAction) {
	r.Timeout = durationpb.New(0)
	r.MaxStreamDuration = &routev3.RouteAction_MaxStreamDuration{GrpcTimeoutHeaderMax: durationpb.New(10 * time.Second)}
}

func perTryIdle(r *routev3.RouteAction) {
	r.Timeout = durationpb.New(0)
	r.RetryPolicy = &routev3.RetryPolicy{PerTryIdleTimeout: durationpb.New(short)}
}

func websockets(r *routev3.RouteAction) {
	r.UpgradeConfigs = []*routev3.RouteAction_UpgradeConfig{{UpgradeType: "websocket"}}
	idleTimeout(r)
}

// changeHCM lets a test change the HTTP connection manager of the first listener.
func changeHCM(t *testing.T, b *bootstrapv3.Bootstrap, change func(*hcmv3.HttpConnectionManager)) {
	t.Helper()
	filter := b.GetStaticResources().GetListeners()[0].GetFilterChains()[0].GetFilters()[0]
	var hcm hcmv3.HttpConnectionManager
	if err := filter.GetTypedConfig().UnmarshalTo(&hcm); err != nil {
		t.Fatal(err)
	}
	change(&hcm)
	config, err := anypb.New(&hcm)
	if err != nil {
		t.Fatal(err)
	}
	filter.GetTypedConfig().Reset()
	filter.GetTypedConfig().TypeUrl, filter.GetTypedConfig().Value = config.GetTypeUrl(), config.GetValue()
}

// byFilter are retries by the filter, of PUT alone: a row's failures before are GETs.
const byFilter = ", retry: {driver: filter, max_attempts: 2, base_delay: 5ms, methods: [PUT], budget: {percent: 100, min_per_second: 100}"

// What upstreams do.

// secondly fails the first request for /, and answers those after it by a handler.
func secondly(answer http.HandlerFunc) http.HandlerFunc {
	var seen atomic.Int32
	return func(rw http.ResponseWriter, r *http.Request) {
		if seen.Add(1) == 1 {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		answer(rw, r)
	}
}

// breaksOff sends these pieces and resets the connection.
func breaksOff(pieces ...string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		if len(pieces) > 0 {
			begin(rw, "text/plain")
		}
		for _, piece := range pieces {
			write(rw, piece)
		}
		if c, _, err := http.NewResponseController(rw).Hijack(); err == nil {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
	}
}

func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func ok(http.ResponseWriter, *http.Request) {}

// begin sends the headers of a 200.
func begin(rw http.ResponseWriter, contentType string) {
	rw.Header().Set("content-type", contentType)
	rw.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(rw).Flush()
}

func write(rw http.ResponseWriter, text string) {
	_, _ = io.WriteString(rw, text)
	_ = http.NewResponseController(rw).Flush()
}

// drip sends some bytes every 50 ms until the client is gone.
func drip(contentType string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		begin(rw, contentType)
		for {
			write(rw, "data: x\n\n")
			select {
			case <-time.After(50 * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
	}
}

// stall begins an answer and never ends it.
func stall(pieces ...string) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		begin(rw, "text/plain")
		for _, piece := range pieces {
			write(rw, piece)
		}
		<-r.Context().Done()
	}
}

// large answers with 32 MiB.
func large(rw http.ResponseWriter, _ *http.Request) {
	begin(rw, "application/octet-stream")
	piece := strings.Repeat("x", 64<<10)
	for range 512 {
		if _, err := io.WriteString(rw, piece); err != nil {
			return
		}
	}
}

// grpcStream sends these messages, 50 ms apart, and then waits or ends by end.
func grpcStream(before time.Duration, messages int, end func(http.ResponseWriter, *http.Request)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		time.Sleep(before)
		begin(rw, "application/grpc")
		for range messages {
			_, _ = rw.Write(message(3))
			_ = http.NewResponseController(rw).Flush()
			time.Sleep(50 * time.Millisecond)
		}
		end(rw, r)
	}
}

func grpcEnd(status string) func(http.ResponseWriter, *http.Request) {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set(http.TrailerPrefix+"grpc-status", status)
	}
}

// What clients do.

// puts sends a PUT without a body.
func puts(w *weir, cluster string) { w.send(http.MethodPut, cluster, "/") }

// putsAndLeaves leaves while upstream has the further attempt.
func putsAndLeaves(w *weir, cluster string) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	r := w.request(ctx, http.MethodPut, cluster, "/")
	go func() {
		w.console().waitStatus(cluster, map[string]any{"retry.attempts_total": 1})
		cancel()
	}()
	w.do(r)
}

func get(w *weir, cluster string) { w.get(cluster, "/") }

func getEvents(w *weir, cluster string) {
	r := w.request(w.t.Context(), http.MethodGet, cluster, "/")
	r.Header.Set("accept", "application/json, text/event-stream")
	w.do(r)
}

// leaves leaves after the headers of the response, and d.
func leaves(d time.Duration) func(*weir, string) {
	return func(w *weir, cluster string) {
		c := w.dial(0)
		c.send("GET / HTTP/1.1\r\nhost: " + cluster + "\r\naccept: text/event-stream\r\n\r\n")
		c.answer()
		time.Sleep(d)
		_ = c.Close()
	}
}

// leavesPlain is leaves for a client that does not ask for events.
func leavesPlain(d time.Duration) func(*weir, string) {
	return func(w *weir, cluster string) {
		c := w.dial(0)
		c.send("GET / HTTP/1.1\r\nhost: " + cluster + "\r\n\r\n")
		c.answer()
		time.Sleep(d)
		_ = c.Close()
	}
}

// uploads sends headers, and the body after d.
func uploads(d time.Duration) func(*weir, string) {
	return func(w *weir, cluster string) {
		c := w.dial(0)
		c.send("POST / HTTP/1.1\r\nhost: " + cluster + "\r\nconnection: close\r\ncontent-length: 4\r\n\r\n")
		time.Sleep(d)
		c.send("abcd")
		rest(c.answer())
	}
}

// beginsUpload sends half of a request, and waits for what comes.
func beginsUpload(w *weir, cluster string) {
	c := w.dial(0)
	c.send("POST / HTTP/1.1\r\nhost: " + cluster + "\r\ncontent-length: 4\r\n\r\nab")
	c.answer()
}

// unread does not read what comes, with room for a few KB.
func unread(w *weir, cluster string) {
	c := w.dial(4 << 10)
	c.send("GET / HTTP/1.1\r\nhost: " + cluster + "\r\n\r\n")
	c.answer()
	w.console().waitStatus(cluster, map[string]any{"bulkhead.in_flight": 0})
}

// unread2 gives a stream no window, and goes on answering pings.
func unread2(w *weir, cluster string) {
	f := w.dial2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	f.request("GET", cluster, true)
	f.answer()
	var reader sync.WaitGroup
	reader.Go(func() { f.over() })
	w.console().waitStatus(cluster, map[string]any{"bulkhead.in_flight": 0})
	_ = f.conn.Close()
	reader.Wait()
}

// unreadConnection reads nothing of a connection on which one long answer comes, and then asks for a short one.
func unreadConnection(w *weir, cluster string) {
	const most = 1<<31 - 1
	f := w.dial2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: most})
	_ = f.conn.(*raw).SetReadBuffer(4 << 10)
	_ = f.WriteWindowUpdate(0, most-65535)
	f.headers(1, true, ":method", "GET", ":scheme", "http", ":authority", cluster, ":path", "/large")
	time.Sleep(200 * time.Millisecond) // Envoy's buffers are full
	f.headers(3, true, ":method", "GET", ":scheme", "http", ":authority", cluster, ":path", "/")
	w.console().waitStatus(cluster, map[string]any{"requests.allowed": 4, "bulkhead.in_flight": 0})
}

// resets sends a request over HTTP/2 and resets the stream after d.
func resets(method string, ended, answered bool, d time.Duration, more ...string) func(*weir, string) {
	return func(w *weir, cluster string) {
		f := w.dial2()
		f.request(method, cluster, ended, more...)
		if answered {
			f.answer()
		} else {
			w.console().waitStatus(cluster, map[string]any{"bulkhead.in_flight": 1})
		}
		time.Sleep(d)
		_ = f.WriteRSTStream(1, http2.ErrCodeCancel)
		w.console().waitStatus(cluster, map[string]any{"bulkhead.in_flight": 0})
	}
}

// calls makes a gRPC call over HTTP/2 and waits for its end.
func calls(more ...string) func(*weir, string) {
	return func(w *weir, cluster string) {
		f := w.dial2()
		f.request("POST", cluster, false, append([]string{"content-type", "application/grpc", "te", "trailers"}, more...)...)
		_ = f.WriteData(1, true, message(3))
		f.over()
	}
}

// upgrades asks for a WebSocket.
func upgrades(w *weir, cluster string) *raw {
	c := w.dial(0)
	c.send("GET / HTTP/1.1\r\nhost: " + cluster + "\r\nconnection: upgrade\r\nupgrade: websocket\r\n" +
		"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	return c
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"
