package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestStatusOfManyClusters: a status of 1,000 clusters is rendered in pieces, between which its worker does other work.
func TestStatusOfManyClusters(t *testing.T) {
	t.Parallel()
	var policy strings.Builder
	policy.WriteString("clusters:\n  used: {circuit_breaker: {}, rate_limit: {requests: 10, window_size: 3600s}}\n")
	const others = 999
	for i := range others {
		fmt.Fprintf(&policy, "  c%d: {circuit_breaker: {}, bulkhead: {max_concurrent: %d}}\n", i, i+1)
	}
	o := options(t, policy.String(), map[string]*upstream.Upstream{"used": upstream.New(t)})
	withAdmin(&o)
	w := startWith(t, o)
	m := &manyClusters{weir: w, console: w.console(), others: others}
	w.get("used", "/")
	m.waitStatus("used", map[string]any{"requests.allowed": 1.0})

	t.Run("the worker does other work", func(t *testing.T) { m.testOtherWork(t) })
	t.Run("several readers, some leave", func(t *testing.T) { m.testReaders(t) })
	t.Run("an action while it is rendered", func(t *testing.T) { m.testAction(t) })
	t.Run("a GET with a body", func(t *testing.T) {
		m.check(t, m.ask(http.MethodGet, "/status", strings.Repeat("x", 100<<10)))
	})
}

type manyClusters struct {
	*weir
	*console
	others int
}

// check wants a status with all clusters.
func (m *manyClusters) check(t *testing.T, a answer) (s tree) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &s); a.err != nil || a.status != 200 || err != nil {
		t.Fatalf("GET /status: got status %d %v, error %v, %.100q; want 200 with JSON", a.status, a.err, err, a.body)
	}
	clusters, _ := s["clusters"].(map[string]any)
	if len(clusters) != m.others+1 || s.at("clusters.used.rate_limit.remaining") != 9.0 || s.at("redis.state") != "off" {
		t.Fatalf("got %d clusters, used: %v, redis: %v; want %d, 9 remaining, off", len(clusters), clusters["used"], s["redis"], m.others+1)
	}
	for i := range m.others {
		if got := s.at(fmt.Sprintf("clusters.c%d.bulkhead.max_concurrent", i)); got != float64(i+1) {
			t.Fatalf("c%d: got max_concurrent %v, want %d", i, got, i+1)
		}
	}
	return s
}

// sent asks for the status with this client, and returns when the request has been sent.
func (m *manyClusters) sent(ctx context.Context, t *testing.T, client *http.Client) <-chan answer {
	t.Helper()
	sent, got := make(chan struct{}), make(chan answer, 1)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { close(sent) }})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.console.url+"/status", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { got <- send(client, r) }()
	select {
	case <-sent:
	case <-time.After(10 * time.Second):
		t.Fatal("GET /status: not sent after 10 s")
	}
	return got
}

// testOtherWork sends requests behind one for the status over one HTTP/2 connection, which one worker serves.
func (m *manyClusters) testOtherWork(t *testing.T) {
	m.post("/reset/c0") // no worker has a kept status that it may send
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols, DisableCompression: true}, Timeout: 10 * time.Second}
	status := m.sent(t.Context(), t, client)
	const want = 10
	for n := 0; ; n++ {
		select {
		case a := <-status:
			m.check(t, a)
			if n < want {
				t.Errorf("got %d requests answered before the status that was sent first, want %d or more", n, want)
			}
			return
		default:
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, m.console.url+"/status", nil)
		if err != nil {
			t.Fatal(err)
		}
		if a := send(client, r); a.err != nil || a.status != 204 {
			t.Fatalf("OPTIONS /status: got %d %v, want 204", a.status, a.err)
		}
	}
}

func newConnection() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
}

func (m *manyClusters) testReaders(t *testing.T) {
	m.post("/reset/c0")
	var stay []<-chan answer
	for i := range 12 {
		ctx, leave := context.WithCancel(t.Context())
		got := m.sent(ctx, t, newConnection())
		if i%3 == 0 {
			leave()
			continue
		}
		defer leave()
		stay = append(stay, got)
	}
	for _, got := range stay {
		m.check(t, <-got)
	}
}

// testAction asks before and after an operator's action. Each asks over a connection of its own, so of both workers.
func (m *manyClusters) testAction(t *testing.T) {
	for _, tc := range []struct{ action, state, forced string }{
		{"/breaker/c7/open", "open", "open"}, {"/reset/c7", "closed", "auto"}, {"/breaker/c7/close", "closed", "closed"},
	} {
		var before, after []<-chan answer
		for range 4 {
			before = append(before, m.sent(t.Context(), t, newConnection()))
		}
		m.post(tc.action)
		for range 6 {
			after = append(after, m.sent(t.Context(), t, newConnection()))
		}
		for _, got := range before {
			m.check(t, <-got)
		}
		for _, got := range after {
			s := m.check(t, <-got)
			if state, forced := s.at("clusters.c7.circuit_breaker.state"), s.at("clusters.c7.circuit_breaker.forced"); state != tc.state || forced != tc.forced {
				t.Errorf("asked after POST %s: got %v, forced %v; want %s, %s", tc.action, state, forced, tc.state, tc.forced)
			}
		}
	}
}
