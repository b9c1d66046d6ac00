// Package upstream is a server that fails as the test wants: the test says how the next requests are answered, and
// afterwards reads what arrived, when, and at how many at once.
//
//	u := upstream.New(t)                                      // answers 200
//	u.Set(upstream.Status(503))                               // from now on
//	u.Script(upstream.Reset(), upstream.Status(503), upstream.OK()) // one each, the last one for all that follow
//	u.When(upstream.Path("/slow"), upstream.Delay(time.Second))     // takes precedence over Set and Script
//	u.ScriptAttempts("id", upstream.Any, upstream.Status(503), upstream.OK()) // the first attempt of each request fails
//	u.Refuse(); u.Accept()                                    // the port refuses connections; it is back
//
// It runs inside the test's process, on a real socket, and speaks HTTP/1.1 and HTTP/2 without TLS (h2c) on one port.
package upstream

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis/redistest/port"
)

// Upstream is a running server. All methods may be called at any time, from any goroutine.
type Upstream struct {
	t    testing.TB
	port int

	mu       sync.Mutex
	server   *http.Server // nil while connections are refused
	script   []Behaviour  // what comes next; the last one stays
	rules    []*rule      // the newest first
	requests []*Request
	inFlight int
	mostEver int
	changed  chan struct{} // closed and replaced with each change, so that waiting needs no sleep
}

type rule struct {
	applies  func(*http.Request) bool
	behaves  []Behaviour    // one for each attempt, the last for all that follow
	header   string         // whose value tells the requests apart that are tried
	attempts map[string]int // by that value
}

func (r *rule) next(q *http.Request) Behaviour {
	value := q.Header.Get(r.header)
	attempt := r.attempts[value]
	r.attempts[value]++
	return r.behaves[min(attempt, len(r.behaves)-1)]
}

// New starts an upstream that answers each request with an empty 200 until Set, Script or When. It ends with t.
func New(t testing.TB) *Upstream {
	t.Helper()
	u := &Upstream{t: t, port: port.Reserve(t), script: []Behaviour{OK()}, changed: make(chan struct{})}
	u.Accept()
	t.Cleanup(u.Refuse)
	return u
}

// Port is the TCP port on 127.0.0.1; it stays the same through Refuse and Accept.
func (u *Upstream) Port() uint32 { return uint32(u.port) }

// Addr is host:port.
func (u *Upstream) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(u.port)) }

// URL is the base address, without a slash at its end.
func (u *Upstream) URL() string { return "http://" + u.Addr() }

// Set makes b the answer to all requests from now on. A request that is already being answered is not touched.
func (u *Upstream) Set(b Behaviour) { u.Script(b) }

// Script makes the next requests be answered by one behaviour each, in the order of their arrival, and all that follow
// by the last.
func (u *Upstream) Script(b ...Behaviour) {
	u.t.Helper()
	if len(b) == 0 {
		u.t.Fatal("upstream: an empty script has no behaviour")
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.script = append([]Behaviour(nil), b...)
}

// When answers the requests for which applies is true with b, before any script and without using up a step of it.
// Of several that apply the newest counts.
func (u *Upstream) When(applies func(*http.Request) bool, b Behaviour) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.rules = append([]*rule{{applies: applies, behaves: []Behaviour{b}, attempts: map[string]int{}}}, u.rules...)
}

// ScriptAttempts is When for requests that are retried: the attempts of one request are answered by one behaviour each,
// in the order of their arrival, and all that follow by the last. A header, with another value in each request,
// identifies the request.
func (u *Upstream) ScriptAttempts(header string, applies func(*http.Request) bool, b ...Behaviour) {
	u.t.Helper()
	if len(b) == 0 {
		u.t.Fatal("upstream: an empty script has no behaviour")
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.rules = append([]*rule{{applies: applies, behaves: append([]Behaviour(nil), b...), header: header, attempts: map[string]int{}}}, u.rules...)
}

// Any is a condition for When that each request meets.
func Any(*http.Request) bool { return true }

// Path is a condition for When: the path, without the query, equals p.
func Path(p string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.URL.Path == p }
}

// Header is a condition for When: a request header has this value.
func Header(name, value string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.Header.Get(name) == value }
}

// Refuse closes the port and every connection, so that a new connection is refused (ECONNREFUSED) at once. Requests
// being answered are cut off.
func (u *Upstream) Refuse() {
	u.mu.Lock()
	server := u.server
	u.server = nil
	u.mu.Unlock()
	if server != nil {
		_ = server.Close() // the listener's own error at most; it is closed either way
	}
}

// Accept opens the same port again after Refuse.
func (u *Upstream) Accept() {
	u.t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.server != nil {
		return
	}
	listener, err := net.Listen("tcp", u.Addr())
	if err != nil {
		u.t.Fatalf("upstream: %v", err)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	u.server = &http.Server{
		Handler:           http.HandlerFunc(u.serve),
		Protocols:         &protocols,
		ReadHeaderTimeout: time.Minute,
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
	}
	go func(s *http.Server) { _ = s.Serve(listener) }(u.server) // ends with ErrServerClosed at Refuse
}

// connKey finds the connection of a request in its context; Reset needs the socket itself.
type connKey struct{}

func (u *Upstream) serve(w http.ResponseWriter, r *http.Request) {
	b, record := u.arrived(r)
	gone := false // stays so when the behaviour cuts the connection itself, which ends the handler by a panic
	defer func() { u.done(record, gone) }()
	gone = b.answer(w, r, func(sum [32]byte, size int64) { u.read(record, sum, size, r.Trailer) })
}

// next is called with mu held.
func (u *Upstream) next(r *http.Request) Behaviour {
	for _, rule := range u.rules {
		if rule.applies(r) {
			return rule.next(r)
		}
	}
	b := u.script[0]
	if len(u.script) > 1 {
		u.script = u.script[1:]
	}
	return b
}
