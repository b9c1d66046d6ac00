package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// TestClientsOpenNoBreaker: with a breaker's defaults, clients that take long on purpose: half a minute in all.
func TestClientsOpenNoBreaker(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute; TestEndings has the same with short timers")
	}
	t.Parallel()
	uploaded, unreadUp, called := upstream.New(t), upstream.New(t), upstream.New(t)
	unreadUp.When(upstream.Path("/large"), upstream.Func(large))
	called.Set(upstream.Func(grpcStream(31*time.Second, 1, grpcEnd("0"))))
	o := options(t, `
clusters:
  uploaded: {circuit_breaker: {}, bulkhead: {}}
  unread: {circuit_breaker: {}, bulkhead: {}}
  grpc-late: {circuit_breaker: {}, bulkhead: {}}
`, map[string]*upstream.Upstream{"uploaded": uploaded, "unread": unreadUp, "grpc-late": called})
	withAdmin(&o)
	w := startWith(t, o, func(b *bootstrapv3.Bootstrap) {
		eachRoute(t, b, func(cluster string, r *routev3.RouteAction) {
			switch cluster {
			case "uploaded":
				r.Timeout = durationpb.New(time.Minute)
			case "grpc-late":
				r.Timeout = durationpb.New(0)
			}
		})
	})
	var clients sync.WaitGroup
	for range 5 {
		clients.Go(func() { w.uploads("uploaded", 31*time.Second) })
		clients.Go(func() {
			c := w.dial(4 << 10)
			c.send("GET /large HTTP/1.1\r\nhost: unread\r\n\r\n")
			c.answer()
			time.Sleep(17 * time.Second)
		})
	}
	for range 6 {
		clients.Go(func() { calls()(w, "grpc-late") })
	}
	clients.Wait()
	for _, cluster := range []string{"uploaded", "unread"} {
		if a := w.get(cluster, "/"); a.status != 200 {
			t.Errorf("%s, after the slow clients: got %+v, want status 200", cluster, a)
		}
	}
	for _, cluster := range []string{"uploaded", "unread", "grpc-late"} {
		w.console().waitStatus(cluster, map[string]any{
			"bulkhead.in_flight": 0, "circuit_breaker.state": "closed", "circuit_breaker.failure_count": 0,
		})
	}
}

// eachRoute changes the routes of the first listener, each with its cluster.
func eachRoute(t *testing.T, b *bootstrapv3.Bootstrap, change func(cluster string, r *routev3.RouteAction)) {
	t.Helper()
	changeRoutes(t, b, func(routes *routev3.RouteConfiguration) {
		for _, host := range routes.GetVirtualHosts() {
			for _, r := range host.GetRoutes() {
				change(host.GetDomains()[0], r.GetRoute())
			}
		}
	})
}

// TestStreamsCloseTheBreaker: a half-open breaker takes an answer that does not end as a success, while it flows.
func TestStreamsCloseTheBreaker(t *testing.T) {
	t.Parallel()
	events := "text/event-stream"
	rows := []struct {
		name   string
		up     http.HandlerFunc
		raw    func(*net.TCPConn, *http.Request)
		client func(w *weir, cluster string) (leave func())
	}{
		{name: "events", up: drip(events), client: streams("accept: text/event-stream\r\n")},
		{name: "events-unasked", up: drip(events), client: streams("")},
		{name: "silent-events", up: func(rw http.ResponseWriter, r *http.Request) { begin(rw, events); hang(rw, r) }, client: streams("accept: application/json, text/event-stream\r\n")},
		{name: "flowing", up: drip("application/json"), client: streams("")},
		{name: "unread", up: large, client: streams("")},
		{name: "upgrade", raw: func(c *net.TCPConn, _ *http.Request) {
			_, _ = c.Write([]byte(switching))
			untilClosed(c)
		}, client: func(w *weir, cluster string) func() {
			c := upgrades(w, cluster)
			c.answer()
			return func() { _ = c.Close() }
		}},
		{name: "grpc-stream", up: grpcStream(0, 1, hang), client: func(w *weir, cluster string) func() {
			f := w.dial2()
			f.request("POST", cluster, true, "content-type", "application/grpc")
			f.answer()
			return func() { _ = f.conn.Close() }
		}},
	}
	var policy strings.Builder
	policy.WriteString("clusters:\n")
	upstreams, more := map[string]*upstream.Upstream{}, []render.Upstream(nil)
	for _, row := range rows {
		fmt.Fprintf(&policy, "  %s: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1s, success_threshold: 3, half_open_max_calls: 3}, bulkhead: {}}\n", row.name)
		if row.raw != nil {
			more = append(more, render.Upstream{Name: row.name, Host: "127.0.0.1", Port: scripted(t, row.raw)})
			continue
		}
		u := upstream.New(t)
		u.When(upstream.Path("/fail"), upstream.Status(500))
		u.Set(upstream.Func(row.up))
		upstreams[row.name] = u
	}
	o := options(t, policy.String(), upstreams)
	o.Upstreams = append(o.Upstreams, more...)
	withAdmin(&o)
	w := startWith(t, o, func(b *bootstrapv3.Bootstrap) {
		eachRoute(t, b, func(cluster string, r *routev3.RouteAction) {
			noTimeout(r)
			if cluster == "upgrade" {
				websockets(r)
				r.IdleTimeout = nil
			}
		})
	})
	var all sync.WaitGroup
	for _, row := range rows {
		all.Go(func() {
			w.get(row.name, "/fail")
			w.console().waitStatus(row.name, map[string]any{"circuit_breaker.state": "open"})
			time.Sleep(1050 * time.Millisecond) // recovery_timeout
			var leave []func()
			for range 3 {
				leave = append(leave, row.client(w, row.name))
			}
			w.console().waitStatus(row.name, map[string]any{"circuit_breaker.state": "closed", "bulkhead.in_flight": 3})
			for _, l := range leave {
				l()
			}
			w.console().waitStatus(row.name, map[string]any{"circuit_breaker.state": "closed", "bulkhead.in_flight": 0, "circuit_breaker.failure_count": 0})
		})
	}
	all.Wait()
	if faults := w.Prometheus()["weir_faults_total"]; faults != 0 {
		t.Errorf("got %v faults, want 0", faults)
	}
}

// streams begins an answer that does not end, and leaves when it is told to.
func streams(headers string) func(w *weir, cluster string) func() {
	return func(w *weir, cluster string) func() {
		c := w.dial(4 << 10)
		c.send("GET / HTTP/1.1\r\nhost: " + cluster + "\r\n" + headers + "\r\n")
		c.answer()
		return func() { _ = c.Close() }
	}
}

// TestSlowClients: what clients do slowly, in one Envoy, against a breaker that is half-open and limits that learn; and
// upstreams that are silent.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	const (
		limit   = "algorithm: adaptive, requests: 1000, window_size: 60s, adaptive_interval: 100ms, adaptive_min_samples: 5"
		breaker = "failure_threshold: 100, timeout: 300ms, failure_rate: {min_calls: 3, threshold: 0.1}, slow_calls: {slower_than: 200ms, min_calls: 3, threshold: 0.1}"
	)
	upstreams := map[string]*upstream.Upstream{}
	for _, name := range []string{"held", "learning", "keyed", "silent"} {
		upstreams[name] = upstream.New(t)
		upstreams[name].When(upstream.Path("/fail"), upstream.Status(500))
		upstreams[name].When(upstream.Path("/large"), upstream.Func(large))
	}
	upstreams["silent"].Set(upstream.Hang())
	o := options(t, `
clusters:
  held: {circuit_breaker: {failure_threshold: 1, recovery_timeout: 300ms, success_threshold: 2, half_open_max_calls: 1, timeout: 800ms}, bulkhead: {}}
  learning: {rate_limit: {`+limit+`}, circuit_breaker: {`+breaker+`}, bulkhead: {}}
  keyed: {rate_limit: {`+limit+`, key: [client_ip]}, circuit_breaker: {`+breaker+`}, bulkhead: {}}
  silent: {circuit_breaker: {failure_threshold: 3}, bulkhead: {}}
`, upstreams)
	withAdmin(&o)
	w := startWith(t, o, func(b *bootstrapv3.Bootstrap) {
		eachRoute(t, b, func(cluster string, r *routev3.RouteAction) {
			if cluster == "silent" {
				idleTimeout(r)
			}
		})
	})
	t.Run("hold no probe", func(t *testing.T) { w.in(t).holdNoProbe() })
	t.Run("lower no limit", func(t *testing.T) { w.in(t).lowerNoLimit("learning", "keyed") })
	t.Run("silent upstream", func(t *testing.T) { w.in(t).silentUpstream() })
}

// holdNoProbe: a client that sends slowly has a place of a half-open breaker for `timeout` at most, and its end does not
// count for the probes that follow.
func (w *weir) holdNoProbe() {
	t := w.t
	w.get("held", "/fail")
	w.console().waitStatus("held", map[string]any{"circuit_breaker.state": "open", "bulkhead.in_flight": 0})
	var c *raw
	eventually(t, func() error { // the first that is admitted is the slow one
		if c != nil {
			_ = c.Close()
		}
		time.Sleep(320 * time.Millisecond) // recovery_timeout
		c = w.dial(0)
		c.send("POST / HTTP/1.1\r\nhost: held\r\ncontent-length: 4\r\n\r\n")
		time.Sleep(50 * time.Millisecond)
		s, err := w.console().get("/status/held")
		if err == nil && s.at("bulkhead.in_flight") != 1.0 {
			err = errors.New("the slow client is refused, or not there yet")
		}
		return err
	})
	begun := time.Now()
	if a := w.get("held", "/"); a.reason() != "circuit_open" {
		t.Errorf("while the slow client has the only place: got %+v, want circuit_open", a)
	}
	eventually(t, func() error {
		if a := w.get("held", "/"); a.status != 200 {
			return fmt.Errorf("got %+v, want status 200", a)
		}
		return nil
	})
	if took := time.Since(begun); took > 3*time.Second {
		t.Errorf("the slow client held the place for %v, want its timeout, 800ms", took)
	}
	_ = c.Close()
	w.console().waitStatus("held", map[string]any{"bulkhead.in_flight": 0, "circuit_breaker.success_count": 1, "circuit_breaker.state": "half_open"})
	w.get("held", "/")
	w.console().waitStatus("held", map[string]any{"circuit_breaker.state": "closed", "circuit_breaker.opens_total": 1})
}

// lowerNoLimit: clients that send or read slowly touch no limit that learns, for the cluster or by key, and no rate of a
// breaker.
func (w *weir) lowerNoLimit(clusters ...string) {
	var clients sync.WaitGroup
	for _, cluster := range clusters {
		for range 6 {
			clients.Go(func() { w.uploads(cluster, 600*time.Millisecond) })
			clients.Go(func() {
				c := w.dial(4 << 10)
				c.send("GET /large HTTP/1.1\r\nhost: " + cluster + "\r\n\r\n")
				c.answer()
				time.Sleep(800 * time.Millisecond)
			})
		}
	}
	clients.Wait()
	for _, cluster := range clusters {
		w.console().waitStatus(cluster, map[string]any{
			"circuit_breaker.state": "closed", "circuit_breaker.opens_total": 0, "circuit_breaker.failure_count": 0, "requests.allowed": 12,
		})
	}
	w.console().waitStatus("learning", map[string]any{"rate_limit.requests_per_minute": 1000, "rate_limit.success_rate": 1})
}

// silentUpstream: a whole request that an idle timer ends is upstream's timeout, and is answered as such.
func (w *weir) silentUpstream() {
	for i := range 3 {
		if a := w.get("silent", "/"); a.status != 504 || a.reason() != "upstream_failure" {
			w.t.Errorf("request %d: got %+v, want 504 with x-weir-reason: upstream_failure", i+1, a)
		}
	}
	if a := w.get("silent", "/"); a.status != 503 || a.reason() != "circuit_open" {
		w.t.Errorf("after 3 whole requests without an answer: got %+v, want circuit_open", a)
	}
}

// uploads sends a request whose body comes d after its headers.
func (w *weir) uploads(cluster string, d time.Duration) {
	c := w.dial(0)
	_ = c.SetDeadline(time.Now().Add(d + patience))
	c.send("POST / HTTP/1.1\r\nhost: " + cluster + "\r\nconnection: close\r\ncontent-length: 4\r\n\r\n")
	time.Sleep(d)
	c.send("abcd")
	if a := c.answer(); a.StatusCode != 200 {
		w.t.Errorf("%s: a slow upload got status %d, want 200", cluster, a.StatusCode)
	}
}
