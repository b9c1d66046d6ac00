package upstream

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// client makes connections of its own: HTTP/1.1, or HTTP/2 without TLS.
func client(t *testing.T, http2 bool) *http.Client {
	var protocols http.Protocols
	protocols.SetHTTP1(!http2)
	protocols.SetUnencryptedHTTP2(http2)
	transport := &http.Transport{Protocols: &protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// outcome is what a client saw; an error of the body stands in err too.
type outcome struct {
	status  int
	body    string
	header  http.Header
	trailer http.Header
	err     error
}

func post(c *http.Client, url, body string) outcome {
	return read(c.Post(url, "text/plain", strings.NewReader(body)))
}

func read(r *http.Response, err error) outcome {
	if err != nil {
		return outcome{err: err}
	}
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	return outcome{r.StatusCode, string(text), r.Header, r.Trailer, err}
}

func TestBehaviours(t *testing.T) {
	for _, c := range []struct {
		name    string
		does    Behaviour
		status  int
		body    string
		header  [2]string
		trailer [2]string
		broken  bool
	}{
		{name: "ok", does: OK(), status: 200},
		{name: "status", does: Status(503), status: 503},
		{name: "body", does: Body("hello"), status: 200, body: "hello"},
		{name: "all together", does: Status(418).Body("tea").Header("x-pot", "1").After(time.Millisecond), status: 418, body: "tea", header: [2]string{"x-pot", "1"}},
		{name: "reset", does: Reset(), broken: true},
		{name: "reset after headers", does: ResetAfterHeaders(), status: 200, broken: true},
		{name: "half a body", does: HalfBody(3), status: 200, body: "xxx", broken: true},
		{name: "grpc in headers", does: GRPC(14, false), status: 200, header: [2]string{"grpc-status", "14"}},
		{name: "grpc in trailers", does: GRPC(14, true), status: 200, body: "\x00\x00\x00\x00\x00", trailer: [2]string{"grpc-status", "14"}},
		{name: "func", does: Func(http.NotFound), status: 404, body: "404 page not found\n"},
	} {
		for _, http2 := range []bool{false, true} {
			name := c.name + " over HTTP/1.1"
			if http2 {
				name = c.name + " over HTTP/2"
			}
			t.Run(name, func(t *testing.T) {
				u := New(t)
				u.Set(c.does)
				got := post(client(t, http2), u.URL(), "payload")
				if (got.err != nil) != c.broken {
					t.Errorf("error: got %v, want one: %t", got.err, c.broken)
				}
				if got.status != c.status || got.body != c.body {
					t.Errorf("got %d %q, want %d %q", got.status, got.body, c.status, c.body)
				}
				if name := c.header[0]; name != "" && got.header.Get(name) != c.header[1] {
					t.Errorf("headers: got %v, want %v", got.header, c.header)
				}
				if name := c.trailer[0]; name != "" && got.trailer.Get(name) != c.trailer[1] {
					t.Errorf("trailers: got %v, want %v", got.trailer, c.trailer)
				}
				u.WaitIdle()
				request := u.Requests()[0]
				if request.ClientGone || u.Count() != 1 {
					t.Errorf("%d requests, gone: %t; want 1, false", u.Count(), request.ClientGone)
				}
				if wantProto := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[http2]; request.Proto != wantProto {
					t.Errorf("protocol: got %s, want %s", request.Proto, wantProto)
				}
			})
		}
	}
}

// A client that is in the middle of a write sees EPIPE or ECONNRESET; one that reads, as here, always ECONNRESET.
func TestResetIsATCPReset(t *testing.T) {
	u := New(t)
	u.Set(Reset())
	if got := post(client(t, false), u.URL(), ""); !errors.Is(got.err, syscall.ECONNRESET) {
		t.Errorf("got %v, want ECONNRESET", got.err)
	}
}

func TestScriptThenTheLastForAll(t *testing.T) {
	u := New(t)
	u.Script(Status(500), Status(501), Status(502))
	u.When(Path("/health"), Status(204))
	u.When(Header("x-role", "admin"), Status(403))
	c := client(t, false)
	var got []int
	for _, path := range []string{"/", "/health", "/", "/health?q=1", "/", "/", "/"} {
		got = append(got, post(c, u.URL()+path, "").status)
	}
	if want := []int{500, 204, 501, 204, 502, 502, 502}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	r, err := http.NewRequest(http.MethodGet, u.URL()+"/health", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("x-role", "admin")
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != 403 {
		t.Errorf("the newest rule: got %d, want 403", answer.StatusCode)
	}
}

func TestRecord(t *testing.T) {
	u := New(t)
	before := time.Now()
	r, err := http.NewRequest(http.MethodPut, u.URL()+"/a%20b?c=d", bytes.NewReader([]byte("payload")))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = "prices.example"
	r.Header.Set("x-trace", "7")
	answer, err := client(t, false).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	u.WaitIdle()
	got := u.Requests()[0]
	if got.Method != http.MethodPut || got.Path != "/a%20b?c=d" || got.Host != "prices.example" || got.Header.Get("x-trace") != "7" {
		t.Errorf("got %+v, want the request that was sent", got)
	}
	if got.BodySize != 7 || got.BodySHA256 != sha256.Sum256([]byte("payload")) {
		t.Errorf("got a body of %d bytes, %x, want the one that was sent", got.BodySize, got.BodySHA256)
	}
	if got.Arrived.Before(before) || got.Done.Before(got.Arrived) {
		t.Errorf("began %v, got arrived %v and done %v, want them in this order", before, got.Arrived, got.Done)
	}
	if arrivals := u.Arrivals(); len(arrivals) != 1 || !arrivals[0].Equal(got.Arrived) {
		t.Errorf("got arrivals %v, want the one", arrivals)
	}
	u.Forget()
	if u.Count() != 0 {
		t.Errorf("after Forget: got %d requests, want 0", u.Count())
	}
}

func TestInFlightAndClientsThatLeave(t *testing.T) {
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			u := New(t)
			u.Set(Hang())
			ctx, leave := context.WithCancel(t.Context())
			var clients sync.WaitGroup
			for range 3 {
				clients.Go(func() {
					r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.URL(), nil)
					if err != nil {
						t.Error(err)
						return
					}
					if answer, err := client(t, http2).Do(r); err == nil {
						_ = answer.Body.Close()
						t.Errorf("got status %d, want the script's", answer.StatusCode)
					}
				})
			}
			u.WaitCount(3)
			if now, most := u.InFlight(); now != 3 || most != 3 {
				t.Errorf("in flight: %d, at most %d; want 3, 3", now, most)
			}
			leave()
			u.WaitClientsGone(3)
			clients.Wait()
			if now, most := u.InFlight(); now != 0 || most != 3 {
				t.Errorf("after they left: %d, at most %d; want 0, 3", now, most)
			}
		})
	}
}

// The attempts of each request are told apart by a header, in whatever order they arrive, and use up no step of a
// script.
func TestWhenTried(t *testing.T) {
	u := New(t)
	u.Script(Status(418), OK())
	u.ScriptAttempts("number", Header("retried", "yes"), Status(500), Status(503), OK())
	c := client(t, false)
	for _, want := range []struct {
		number string
		status int
	}{{"1", 500}, {"2", 500}, {"1", 503}, {"3", 500}, {"1", 200}, {"1", 200}, {"2", 503}, {"", 418}, {"2", 200}, {"", 200}} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.URL(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if want.number != "" {
			r.Header = http.Header{"Number": {want.number}, "Retried": {"yes"}}
		}
		if got := read(c.Do(r)); got.status != want.status {
			t.Errorf("a attempt of %q: %d %v, want %d", want.number, got.status, got.err, want.status)
		}
	}
	if got := u.Attempts("number", "2"); len(got) != 3 || got[0].Arrived.After(got[1].Arrived) {
		t.Errorf("attempts of request 2: got %+v, want 3 in order", got)
	}
	if got := u.Attempts("number", "none"); len(got) != 0 {
		t.Errorf("attempts of no request: got %+v, want none", got)
	}
}

func TestTrailersAreKept(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		u := New(t)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u.URL(), io.MultiReader(strings.NewReader("payload")))
		if err != nil {
			t.Fatal(err)
		}
		r.Trailer = http.Header{"X-Sum": {"12"}}
		if got := read(client(t, http2).Do(r)); got.status != 200 {
			t.Fatalf("got %+v, want one request", got)
		}
		u.WaitIdle()
		if got := u.Requests()[0]; got.Trailer.Get("x-sum") != "12" || got.BodySize != 7 {
			t.Errorf("HTTP/2 %t: got trailers %v after %d bytes, want those that were sent", http2, got.Trailer, got.BodySize)
		}
	}
}

func TestRefuseAndAccept(t *testing.T) {
	u := New(t)
	c := client(t, false) // keeps its connection, which Refuse has to close
	for range 3 {
		if got := post(c, u.URL(), ""); got.status != 200 {
			t.Fatalf("open: got %d %v, want 200", got.status, got.err)
		}
		u.Refuse()
		// A GET: Go's client sends it again on a new connection when the kept one turns out to be closed.
		if got := read(c.Get(u.URL())); !errors.Is(got.err, syscall.ECONNREFUSED) {
			t.Fatalf("refusing: got %d %v, want ECONNREFUSED", got.status, got.err)
		}
		u.Accept()
	}
	if u.Count() != 3 {
		t.Errorf("count: got %d, want 3", u.Count())
	}
}

func TestWebSocketEcho(t *testing.T) {
	u := New(t)
	u.Set(WebSocketEcho())
	conn, _, err := websocket.Dial(t.Context(), u.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseNow() }()
	for _, want := range []string{"one", "two"} {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.Read(t.Context()); err != nil || string(got) != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
	}
}
