package request_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate"
)

// exchange is one request of a test of the cache, and upstream's response.
type exchange struct {
	method, path string // method "": GET
	headers      requesttest.Headers
	around       requesttest.Surroundings
	status       int
	details      string // "": via_upstream
	response     requesttest.Headers
	body         []string // in pieces
	breaksOff    bool     // upstream resets the stream within the body
	clientLeaves bool     // before the body ends
	trailers     bool
	endless      bool // no header tells where the body ends
}

// run runs one exchange, and gives the step that the client sees: the refusal's, or the response's.
func run(p *requesttest.Proxy, e exchange) request.Step { return runAround(p, e, &e.around) }

// runAround is run for a test that counts what is read of the surroundings.
func runAround(p *requesttest.Proxy, e exchange, around *requesttest.Surroundings) request.Step {
	if e.method == "" {
		e.method = "GET"
	}
	if e.details == "" {
		e.details = up
	}
	headers := append(requesttest.Headers{{":method", e.method}, {":scheme", "http"}, {":authority", "aws"}, {":path", e.path}},
		e.headers...)
	in := request.Incoming{}
	if p.Cluster.Cache() != nil {
		in.Cache = p.Cluster.Cache().Key(headers, true, around)
	}
	r, step := p.Begin(in)
	if step.Kind == request.SendReply {
		return step
	}
	ended := len(e.body) == 0 && !e.breaksOff && !e.clientLeaves && !e.trailers
	step = r.Respond(&request.Response{Status: e.status, Details: e.details, GRPC: -1, Ended: ended}, p.Now)
	if r.MayKeep() {
		response := e.response
		if len(e.body) > 0 && !e.endless && requesttest.Header(response, "content-length") == "" {
			response = append(response[:len(response):len(response)], [2]string{"transfer-encoding", "chunked"})
		}
		r.Keep(response, ended, p.Now, 1_800_000_000)
	}
	if step.Kind == request.SendReply {
		if r.Capturing() {
			p.Errorf("%s %s: got upstream's response captured, want not: a local reply takes its place", e.method, e.path)
		}
		r.Gone(e.details, 0, p.Now)
		return step
	}
	for _, piece := range e.body {
		r.Body([]byte(piece))
	}
	switch {
	case e.breaksOff:
		r.Gone("upstream_reset_after_response_started{remote_reset}", 0, p.Now)
	case e.clientLeaves:
		r.Gone(requesttest.ClientLeft, 0, p.Now)
	case e.trailers:
		r.Discard(fallback.Trailers)
		r.End(-1, p.Now)
	default:
		r.End(-1, p.Now)
	}
	r.Gone(e.details, 0, p.Now)
	if r.Capturing() || r.Unsettled() {
		p.Errorf("%s %s, over: got capturing %v, open %v, want neither", e.method, e.path, r.Capturing(), r.Unsettled())
	}
	return step
}

// runFailing asks for a path while upstream fails, and returns what the client gets.
func runFailing(p *requesttest.Proxy, path string, headers ...[2]string) string {
	return summary(run(p, exchange{path: path, status: 503, headers: headers}))
}

// summary is what the client gets: "upstream's own", or as in "200 cache body".
func summary(step request.Step) string {
	if step.Kind == request.Continue {
		return "upstream's own"
	}
	reply := requesttest.Reply(step)
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", reply.Status, requesttest.Header(reply.Headers, "x-weir-source"), reply.Body))
}

const keeping = `{"fallback":{"fallback_data_ttl":"10s","cache_staleness_threshold":"30s","max_body_bytes":8,"enable_degraded_mode":false}}`

func TestKeptResponseByAge(t *testing.T) {
	p := requesttest.Start(t, keeping)
	begun := p.Now
	run(p, exchange{
		path: "/a", status: 203, body: []string{"so", "me"},
		response: requesttest.Headers{{"content-type", "text/plain"}, {"etag", `"1"`}},
	})
	for _, tc := range []struct {
		after int64 // ms
		want  string
		age   string
		stale bool
	}{
		{0, "203 cache some", "0", false},
		{9_999, "203 cache some", "9", false},
		{10_000, "203 cache some", "10", false},
		{11_001, "203 stale_cache some", "11", true},
		{30_000, "203 stale_cache some", "30", true},
		{31_001, "upstream's own", "", false},
	} {
		p.Now = begun + tc.after*ms
		step := run(p, exchange{path: "/a", status: 503})
		want := map[string]string{"age": tc.age, "warning": ""}
		if tc.stale {
			want["warning"] = `110 weir "Response is Stale"`
		}
		headers := requesttest.Reply(step).Headers
		if step.Kind == request.SendReply {
			want["x-weir-fallback-used"], want["x-weir-reason"] = "true", "upstream_failure"
			want["content-type"], want["etag"] = "text/plain", `"1"`
			if got := requesttest.Header(headers, "cache-status"); !strings.HasPrefix(got, "weir; fwd=") {
				t.Errorf("after %d ms: got cache-status %q, want it to begin with weir; fwd=", tc.after, got)
			}
		}
		if got := summary(step); got != tc.want {
			t.Errorf("after %d ms: got %s, want %s", tc.after, got, tc.want)
		}
		for name, value := range want {
			if got := requesttest.Header(headers, name); got != value {
				t.Errorf("after %d ms: got %s %q, want %q", tc.after, name, got, value)
			}
		}
	}
}

func TestWhichResponsesAreKept(t *testing.T) {
	const kept, not = "200 cache some", "upstream's own"
	for _, tc := range []struct {
		name string
		exchange
		want string
	}{
		{"a response", exchange{status: 200, body: []string{"some"}}, kept},
		{"in pieces", exchange{status: 200, body: []string{"s", "", "om", "e"}}, kept},
		{"with its length", exchange{status: 200, response: requesttest.Headers{{"content-length", "4"}}, body: []string{"some"}}, kept},
		{"an empty body", exchange{status: 204}, "204 cache"},
		{"as long as max_body_bytes", exchange{status: 200, body: []string{"1234", "5678"}}, "200 cache 12345678"},
		{"longer by a byte", exchange{status: 200, body: []string{"1234", "56789"}}, not},
		{
			"longer, by its content-length",
			exchange{status: 200, response: requesttest.Headers{{"content-length", "9"}}, body: []string{"123456789"}},
			not,
		},
		{
			"shorter than its content-length",
			exchange{status: 200, response: requesttest.Headers{{"content-length", "5"}}, body: []string{"some"}},
			not,
		},
		{
			"longer than its content-length",
			exchange{status: 200, response: requesttest.Headers{{"content-length", "3"}}, body: []string{"some"}},
			not,
		},
		{"upstream resets it", exchange{status: 200, body: []string{"some"}, breaksOff: true}, not},
		{"the client leaves", exchange{status: 200, body: []string{"some"}, clientLeaves: true}, not},
		{"trailers", exchange{status: 200, body: []string{"some"}, trailers: true}, not},
		{"delimited by the end of the connection", exchange{status: 200, body: []string{"some"}, endless: true}, not},
		{"a redirect", exchange{status: 302, body: []string{"some"}}, not},
		{"an error", exchange{status: 404, body: []string{"some"}}, not},
		{"partial content", exchange{status: 206, body: []string{"some"}}, not},
		{"a response to POST", exchange{method: "POST", status: 200, body: []string{"some"}}, not},
		{"a response to HEAD", exchange{method: "HEAD", status: 200, response: requesttest.Headers{{"content-length", "4000"}}}, not},
		{"with set-cookie", exchange{status: 200, response: requesttest.Headers{{"set-cookie", "a=b"}}, body: []string{"some"}}, not},
		{"cache-control: private", exchange{
			status: 200, response: requesttest.Headers{{"cache-control", "private"}},
			body: []string{"some"},
		}, not},
		{"request with authorization", exchange{
			status: 200, headers: requesttest.Headers{{"authorization", "Basic x"}},
			body: []string{"some"},
		}, not},
		{"response of another filter", exchange{status: 200, details: "direct_response", body: []string{"some"}}, not},
	} {
		p := requesttest.Start(t, keeping)
		tc.path = "/a"
		run(p, tc.exchange)
		if got := runFailing(p, "/a"); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
		if tc.name == "a response to HEAD" {
			if got := summary(run(p, exchange{method: "HEAD", path: "/a", status: 503})); got != "200 cache" {
				t.Errorf("%s, then HEAD: got %s, want 200 cache", tc.name, got)
			}
		}
	}
}

func TestHeadGetsTheResponseToGet(t *testing.T) {
	p := requesttest.Start(t, keeping)
	run(p, exchange{path: "/a", status: 200, body: []string{"some"}})
	// Envoy does not send the body of a reply to HEAD, but counts it as content-length.
	if got := summary(run(p, exchange{method: "HEAD", path: "/a", status: 503})); got != "200 cache some" {
		t.Errorf("got %s, want 200 cache some", got)
	}
}

func TestIfNoneMatch(t *testing.T) {
	p := requesttest.Start(t, keeping)
	run(p, exchange{
		path: "/a", status: 200,
		response: requesttest.Headers{
			{"etag", `"1"`},
			{"content-type", "text/plain"},
			{"cache-control", "max-age=5"},
		}, body: []string{"some"},
	})
	step := run(p, exchange{path: "/a", status: 503, headers: requesttest.Headers{{"if-none-match", `"0", W/"1"`}}})
	if got := summary(step); got != "304 cache" {
		t.Errorf("the same etag: got %s, want 304 cache", got)
	}
	for name, want := range map[string]string{"etag": `"1"`, "cache-control": "max-age=5", "content-type": "", "age": "0"} {
		if got := requesttest.Header(requesttest.Reply(step).Headers, name); got != want {
			t.Errorf("the same etag: got %s %q, want %q", name, got, want)
		}
	}
	if got := runFailing(p, "/a", [2]string{"if-none-match", `"2"`}); got != "200 cache some" {
		t.Errorf("another etag: got %s, want 200 cache some", got)
	}
}

func TestContentEncodingIsNegotiated(t *testing.T) {
	p := requesttest.Start(t, keeping)
	encoded := exchange{
		path: "/a", status: 200, headers: requesttest.Headers{{"accept-encoding", "gzip, br"}},
		response: requesttest.Headers{{"content-encoding", "br"}, {"vary", "accept-encoding"}}, body: []string{"brotli"},
	}
	run(p, encoded)
	if got := runFailing(p, "/a"); got != "upstream's own" {
		t.Errorf("without accept-encoding: got %s, want upstream's own", got)
	}
	if got := runFailing(p, "/a", [2]string{"accept-encoding", "gzip"}); got != "upstream's own" {
		t.Errorf("gzip: got %s, want upstream's own", got)
	}
	if got := runFailing(p, "/a", [2]string{"accept-encoding", "gzip, br"}); got != "200 cache brotli" {
		t.Errorf("br: got %s, want 200 cache brotli", got)
	}
	// The response without encoding is kept besides the other.
	p.Now += 2000 * ms
	run(p, exchange{path: "/a", status: 200, response: requesttest.Headers{{"vary", "accept-encoding"}}, body: []string{"plain"}})
	if got := runFailing(p, "/a"); got != "200 cache plain" {
		t.Errorf("without accept-encoding: got %s, want 200 cache plain", got)
	}
}

// TestOutdatedResponsesAreRemoved: a later response that may not be kept removes the older one (case E11).
func TestOutdatedResponsesAreRemoved(t *testing.T) {
	const kept, gone, longInPieces = "200 cache some", "upstream's own", "longer, in pieces"
	for _, tc := range []struct {
		name string
		exchange
		want string
	}{
		{"404", exchange{status: 404}, gone},
		{"404 to HEAD", exchange{method: "HEAD", status: 404}, gone},
		{"a redirect", exchange{status: 301}, gone},
		{"private", exchange{status: 200, response: requesttest.Headers{{"cache-control", "private"}}, body: []string{"b"}}, gone},
		{"longer than max_body_bytes", exchange{status: 200, response: requesttest.Headers{{"content-length", "9"}}, body: []string{"123456789"}}, gone},
		{longInPieces, exchange{status: 200, body: []string{"1234", "56789"}}, gone},
		{"304", exchange{status: 304}, kept},
		{"206", exchange{status: 206, body: []string{"so"}}, kept},
		{"429", exchange{status: 429}, kept},
		{"503", exchange{status: 503}, kept},
		{"broken off", exchange{status: 200, body: []string{"new"}, breaksOff: true}, kept},
		{"another path", exchange{path: "/b", status: 404}, kept},
		{"somebody's own", exchange{status: 404, headers: requesttest.Headers{{"cookie", "a=b"}}}, kept},
		{"of another filter", exchange{status: 403, details: "rbac_access_denied"}, kept},
	} {
		p := requesttest.Start(t, keeping)
		run(p, exchange{path: "/a", status: 200, body: []string{"some"}})
		p.Now += 100 * ms
		if tc.path == "" {
			tc.path = "/a"
		}
		if tc.name == longInPieces {
			p.Now += 1000 * ms // a body is copied at most once a second
		}
		run(p, tc.exchange)
		if got := runFailing(p, "/a"); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
		if tc.want == gone { // and it is kept again
			p.Now += 100 * ms
			run(p, exchange{path: "/a", status: 200, body: []string{"again"}})
			if got := runFailing(p, "/a"); got != "200 cache again" {
				t.Errorf("%s, and then 200: got %s, want 200 cache again", tc.name, got)
			}
		}
	}
}

// TestUnsafeMethodsInvalidate: a response to an unsafe method that is no error removes what is kept of its target, and of
// Location and Content-Location (case E10; RFC 9111, section 4.4).
func TestUnsafeMethodsInvalidate(t *testing.T) {
	const kept, gone = "200 cache some", "upstream's own"
	location := func(name, value string) requesttest.Headers { return requesttest.Headers{{name, value}} }
	for _, tc := range []struct {
		name string
		exchange
		want string // of /a?q=1
	}{
		{"POST", exchange{method: "POST", path: "/a", status: 201, body: []string{"b"}}, gone},
		{"PUT", exchange{method: "PUT", path: "/a?other", status: 204}, gone},
		{"DELETE", exchange{method: "DELETE", path: "/a", status: 204}, gone},
		{"PATCH", exchange{method: "PATCH", path: "/a", status: 303}, gone},
		{"an unknown method", exchange{method: "FROB", path: "/a", status: 200}, gone},
		{"with a credential", exchange{method: "POST", path: "/a", status: 200, headers: requesttest.Headers{{"authorization", "x"}}}, gone},
		{"Location", exchange{method: "POST", path: "/b", status: 201, response: location("location", "http://aws/a")}, gone},
		{"Content-Location", exchange{method: "POST", path: "/b", status: 200, response: location("content-location", "a")}, gone},
		{"Location of another host", exchange{method: "POST", path: "/b", status: 201, response: location("location", "http://other/a")}, kept},
		{"another path", exchange{method: "POST", path: "/b", status: 201}, kept},
		{"an error", exchange{method: "POST", path: "/a", status: 409}, kept},
		{"a failure", exchange{method: "POST", path: "/a", status: 503}, kept},
		{"OPTIONS", exchange{method: "OPTIONS", path: "/a", status: 200}, kept},
		{"of another filter", exchange{method: "POST", path: "/a", status: 200, details: "direct_response"}, kept},
	} {
		p := requesttest.Start(t, keeping)
		run(p, exchange{path: "/a?q=1", status: 200, body: []string{"some"}})
		p.Now += 100 * ms
		run(p, tc.exchange)
		if got := runFailing(p, "/a?q=1"); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestAKeyIsStoredOnceASecond(t *testing.T) {
	p := requesttest.Start(t, keeping)
	for i := range 20 {
		run(p, exchange{path: "/a", status: 200, body: []string{fmt.Sprint(i)}})
		p.Now += 100 * ms
	}
	// Stored at 0 and 1,000 ms: the responses 0 and 10.
	if got := runFailing(p, "/a"); got != "200 cache 10" {
		t.Errorf("got %s, want 200 cache 10", got)
	}
}

func TestCacheIsSharedByWorkersAndReloads(t *testing.T) {
	store := sharedstate.NewMemory()
	first, other := requesttest.StartOn(t, keeping, store), requesttest.StartOn(t, keeping, store)
	run(first, exchange{path: "/a", status: 200, body: []string{"some"}})
	if got := runFailing(other, "/a"); got != "200 cache some" {
		t.Errorf("another worker: got %s, want 200 cache some", got)
	}
	keyed := requesttest.StartOn(t, strings.Replace(keeping, `{"fallback":{`, `{"fallback":{"cache_key_headers":["x-tenant"],`, 1), store)
	if got := runFailing(keyed, "/a"); got != "upstream's own" {
		t.Errorf("after a reload with another key: got %s, want upstream's own", got)
	}
}

func TestCacheServesTheListedReasons(t *testing.T) {
	const rules = `{"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"10s"},"bulkhead":{"max_concurrent":1},
		"rate_limit":{"algorithm":"token_bucket","burst_capacity":3,"refill_rate":0.001},"fallback":{"default_data":{"body":"default"},"on":[%s]}}`
	p := requesttest.Start(t, fmt.Sprintf(rules, `"circuit_open","bulkhead_full","rate_limited"`))
	run(p, exchange{path: "/a", status: 200, body: []string{"some"}})
	holder, _ := p.Begin(request.Incoming{})
	if got := summary(run(p, exchange{path: "/a", status: 200})); got != "200 cache some" {
		t.Errorf("bulkhead full: got %s, want 200 cache some", got)
	}
	holder.Gone(requesttest.ClientLeft, 0, p.Now)
	if got := runFailing(p, "/a"); got != "upstream's own" {
		t.Errorf("upstream failure, which is not in `on`: got %s, want upstream's own", got)
	}
	if got := runFailing(p, "/a"); got != "200 cache some" {
		t.Errorf("breaker open: got %s, want 200 cache some", got)
	}
	if got := runFailing(p, "/b"); got != "200 default default" {
		t.Errorf("breaker open, never kept: got %s, want 200 default default", got)
	}
	limited := requesttest.Start(t, `{"rate_limit":{"algorithm":"token_bucket","burst_capacity":1,"refill_rate":0.001},"fallback":{"on":["rate_limited"]}}`)
	run(limited, exchange{path: "/a", status: 200, body: []string{"some"}})
	if got := summary(run(limited, exchange{path: "/a", status: 200})); got != "200 cache some" {
		t.Errorf("limit reached: got %s, want 200 cache some", got)
	}
}

func TestShadowKeepsNothing(t *testing.T) {
	store := sharedstate.NewMemory()
	p := requesttest.StartOn(t, strings.Replace(keeping, "{", `{"mode":"shadow",`, 1), store)
	run(p, exchange{path: "/a", status: 200, body: []string{"some"}})
	if got := runFailing(p, "/a"); got != "upstream's own" {
		t.Errorf("in shadow: got %s, want upstream's own", got)
	}
	if got := runFailing(requesttest.StartOn(t, keeping, store), "/a"); got != "upstream's own" {
		t.Errorf("enforced afterwards: got %s, want upstream's own", got)
	}
}

// TestMillionPaths asks for so many paths that each place is used by many of them in turn.
func TestMillionPaths(t *testing.T) {
	paths := 1_000_000
	if testing.Short() {
		paths = 20_000
	}
	store := sharedstate.NewMemory()
	p := requesttest.StartOn(t, `{"fallback":{"max_entries":16}}`, store)
	body := []string{strings.Repeat("x", 100)}
	for i := range paths {
		run(p, exchange{path: fmt.Sprintf("/%d", i), status: 200, body: body})
	}
	// 16 places, their index, the record of invalidations, the seed and the number of workers.
	if got := store.Len(); got > 16+4 {
		t.Errorf("got %d keys in the store, want at most 20", got)
	}
	if got := runFailing(p, fmt.Sprintf("/%d", paths-1)); got != "200 cache "+body[0] {
		t.Errorf("the last path: got %s, want 200 cache %s", got, body[0])
	}
	if got := runFailing(p, "/0"); !strings.HasPrefix(got, "503 degraded") {
		t.Errorf("the first path: got %s, want 503 degraded", got)
	}
}
