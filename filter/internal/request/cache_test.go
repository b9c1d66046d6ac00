package request_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
	"github.com/weir-mesh/weir/sharedstate"
)

type requesttest.Headers [][2]string

func (p requesttest.Headers) All(yield func(name, value string) bool) {
	for _, h := range p {
		if !yield(h[0], h[1]) {
			return
		}
	}
}

// visit is one request of a test of the cache.
type visit struct {
	method, path string
	headers      requesttest.Headers
	status       int
	details      string // "": via_upstream
	answer       requesttest.Headers
	body         []string // in pieces
	breaksOff    bool     // its body does not end
	leaves       bool     // the client goes before the body ends
	trailers     bool
	endless      bool // nothing in its headers tells where its body ends
}

// visit sends one request through and gives what the client gets: the source, and the body.
func (p *requesttest.Proxy) visit(v visit) request.Step {
	if v.method == "" {
		v.method = "GET"
	}
	if v.details == "" {
		v.details = up
	}
	headers := append(requesttest.Headers{{":method", v.method}, {":scheme", "http"}, {":authority", "aws"}, {":path", v.path}}, v.headers...)
	request := request.Incoming{}
	if p.Cluster.Cache() != nil {
		request.Cache = p.Cluster.Cache().Key(headers, true)
	}
	x, step := p.Begin(request)
	if step.Kind == request.SendReply {
		return step
	}
	ended := len(v.body) == 0 && !v.breaksOff && !v.leaves && !v.trailers
	step = x.Respond(&request.Response{Status: v.status, Details: v.details, GRPC: -1, Ended: ended}, p.Now)
	if x.MayKeep() {
		answer := v.answer
		if len(v.body) > 0 && !v.endless && requesttest.Header(answer, "content-length") == "" {
			answer = append(answer[:len(answer):len(answer)], [2]string{"transfer-encoding", "chunked"})
		}
		x.Keep(answer, ended, p.Now, 1_800_000_000)
	}
	if step.Kind == request.SendReply {
		if x.Capturing() {
			p.Error("an answer is copied that is not sent")
		}
		x.Gone(v.details, 0, p.Now)
		return step
	}
	for _, piece := range v.body {
		x.Body([]byte(piece))
	}
	switch {
	case v.breaksOff:
		x.Gone("upstream_reset_after_response_started{remote_reset}", 0, p.Now)
	case v.leaves:
		x.Gone(requesttest.ClientLeft, 0, p.Now)
	case v.trailers:
		x.Discard()
		x.End(-1, p.Now)
	default:
		x.End(-1, p.Now)
	}
	x.Gone(v.details, 0, p.Now)
	if x.Capturing() || x.Open() {
		p.Error("something is left open")
	}
	return step
}

// fails asks for a path while upstream fails, and tells what the client gets in a line.
func (p *requesttest.Proxy) fails(path string, headers ...[2]string) string {
	return told(p.visit(visit{path: path, status: 503, headers: headers}))
}

func told(step request.Step) string {
	if step.Kind == request.Continue {
		return "upstream's own"
	}
	r := step.Reply
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", r.Status, requesttest.Header(r.Headers, "x-weir-source"), r.Body))
}

const keeping = `{"fallback":{"fallback_data_ttl":"10s","cache_staleness_threshold":"30s","max_body_bytes":8,"enable_degraded_mode":false}}`

func TestAKeptAnswerGrowsOld(t *testing.T) {
	p := requesttest.Start(t, keeping)
	begun := p.Now
	p.visit(visit{path: "/a", status: 203, body: []string{"so", "me"}, answer: requesttest.Headers{{"content-type", "text/plain"}, {"etag", `"1"`}}})
	for _, tc := range []struct {
		after int64 // ms
		want  string
		age   string
		warns bool
	}{
		{0, "203 cache some", "0", false},
		{9_999, "203 cache some", "9", false},
		{10_000, "203 cache some", "10", false},
		{11_001, "203 stale_cache some", "11", true},
		{30_000, "203 stale_cache some", "30", true},
		{31_001, "upstream's own", "", false},
	} {
		p.Now = begun + tc.after*ms
		step := p.visit(visit{path: "/a", status: 503})
		warning := requesttest.Header(step.Reply.Headers, "warning")
		if told(step) != tc.want || requesttest.Header(step.Reply.Headers, "age") != tc.age || (warning == `110 weir "Response is Stale"`) != tc.warns {
			t.Errorf("after %d ms: %s, age %q, warning %q; want %+v", tc.after, told(step), requesttest.Header(step.Reply.Headers, "age"), warning, tc)
		}
		if step.Kind == request.SendReply && (!strings.HasPrefix(requesttest.Header(step.Reply.Headers, "cache-status"), "weir; hit") ||
			requesttest.Header(step.Reply.Headers, "x-weir-fallback-used") != "true" || requesttest.Header(step.Reply.Headers, "x-weir-reason") != "upstream_failure" ||
			requesttest.Header(step.Reply.Headers, "content-type") != "text/plain" || requesttest.Header(step.Reply.Headers, "etag") != `"1"`) {
			t.Errorf("after %d ms: %v", tc.after, step.Reply.Headers)
		}
	}
}

func TestWhatIsKept(t *testing.T) {
	const kept, not = "200 cache some", "upstream's own"
	for _, tc := range []struct {
		name string
		visit
		want string
	}{
		{"an answer", visit{status: 200, body: []string{"some"}}, kept},
		{"in pieces", visit{status: 200, body: []string{"s", "", "om", "e"}}, kept},
		{"with its length", visit{status: 200, answer: requesttest.Headers{{"content-length", "4"}}, body: []string{"some"}}, kept},
		{"an empty one", visit{status: 204}, "204 cache"},
		{"as long as may be", visit{status: 200, body: []string{"1234", "5678"}}, "200 cache 12345678"},
		{"a byte longer", visit{status: 200, body: []string{"1234", "56789"}}, not},
		{"and by its length", visit{status: 200, answer: requesttest.Headers{{"content-length", "9"}}, body: []string{"123456789"}}, not},
		{"less than was announced", visit{status: 200, answer: requesttest.Headers{{"content-length", "5"}}, body: []string{"some"}}, not},
		{"more than was announced", visit{status: 200, answer: requesttest.Headers{{"content-length", "3"}}, body: []string{"some"}}, not},
		{"one that breaks off", visit{status: 200, body: []string{"some"}, breaksOff: true}, not},
		{"one that the client leaves", visit{status: 200, body: []string{"some"}, leaves: true}, not},
		{"one with trailers", visit{status: 200, body: []string{"some"}, trailers: true}, not},
		{"one that ends with its connection, whole or not", visit{status: 200, body: []string{"some"}, endless: true}, not},
		{"a redirect", visit{status: 302, body: []string{"some"}}, not},
		{"an error", visit{status: 404, body: []string{"some"}}, not},
		{"a part", visit{status: 206, body: []string{"some"}}, not},
		{"a POST's", visit{method: "POST", status: 200, body: []string{"some"}}, not},
		{"a HEAD's, which has no body", visit{method: "HEAD", status: 200, answer: requesttest.Headers{{"content-length", "4000"}}}, not},
		{"with a cookie for somebody", visit{status: 200, answer: requesttest.Headers{{"set-cookie", "a=b"}}, body: []string{"some"}}, not},
		{"a private one", visit{status: 200, answer: requesttest.Headers{{"cache-control", "private"}}, body: []string{"some"}}, not},
		{"for a request with a name on it", visit{status: 200, headers: requesttest.Headers{{"authorization", "Basic x"}}, body: []string{"some"}}, not},
		{"of another filter", visit{status: 200, details: "direct_response", body: []string{"some"}}, not},
	} {
		p := requesttest.Start(t, keeping)
		tc.path = "/a"
		p.visit(tc.visit)
		if got := p.fails("/a"); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if tc.name == "a HEAD's, which has no body" {
			if got := told(p.visit(visit{method: "HEAD", path: "/a", status: 503})); got != "200 cache" {
				t.Errorf("%s, asked by HEAD: %s", tc.name, got)
			}
		}
	}
}

func TestHeadIsAnsweredFromAGet(t *testing.T) {
	p := requesttest.Start(t, keeping)
	p.visit(visit{path: "/a", status: 200, body: []string{"some"}})
	// Envoy leaves the body of an answer to HEAD out, and counts it.
	if got := told(p.visit(visit{method: "HEAD", path: "/a", status: 503})); got != "200 cache some" {
		t.Error(got)
	}
}

func TestNotModified(t *testing.T) {
	p := requesttest.Start(t, keeping)
	p.visit(visit{path: "/a", status: 200, answer: requesttest.Headers{{"etag", `"1"`}, {"content-type", "text/plain"}, {"cache-control", "max-age=5"}}, body: []string{"some"}})
	step := p.visit(visit{path: "/a", status: 503, headers: requesttest.Headers{{"if-none-match", `"0", W/"1"`}}})
	if told(step) != "304 cache" || requesttest.Header(step.Reply.Headers, "etag") != `"1"` || requesttest.Header(step.Reply.Headers, "cache-control") != "max-age=5" ||
		requesttest.Header(step.Reply.Headers, "content-type") != "" || requesttest.Header(step.Reply.Headers, "age") != "0" {
		t.Errorf("%s %v", told(step), step.Reply.Headers)
	}
	if got := p.fails("/a", [2]string{"if-none-match", `"2"`}); got != "200 cache some" {
		t.Errorf("another etag: %s", got)
	}
}

func TestEncodedAnswersGoToThoseWhoAcceptThem(t *testing.T) {
	p := requesttest.Start(t, keeping)
	encoded := visit{path: "/a", status: 200, headers: requesttest.Headers{{"accept-encoding", "gzip, br"}}, answer: requesttest.Headers{{"content-encoding", "br"}, {"vary", "accept-encoding"}}, body: []string{"brotli"}}
	p.visit(encoded)
	if got := p.fails("/a"); got != "upstream's own" {
		t.Errorf("without accept-encoding: %s", got)
	}
	if got := p.fails("/a", [2]string{"accept-encoding", "gzip"}); got != "upstream's own" {
		t.Errorf("gzip: %s", got)
	}
	if got := p.fails("/a", [2]string{"accept-encoding", "gzip, br"}); got != "200 cache brotli" {
		t.Errorf("br: %s", got)
	}
	// The plain form has a place of its own.
	p.Now += 2000 * ms
	p.visit(visit{path: "/a", status: 200, answer: requesttest.Headers{{"vary", "accept-encoding"}}, body: []string{"plain"}})
	if got := p.fails("/a"); got != "200 cache plain" {
		t.Errorf("without accept-encoding: %s", got)
	}
}

func TestAHotKeyIsKeptOnceASecond(t *testing.T) {
	p := requesttest.Start(t, keeping)
	for i := range 20 {
		p.visit(visit{path: "/a", status: 200, body: []string{fmt.Sprint(i)}})
		p.Now += 100 * ms
	}
	// Kept at 0 and 1,000 ms: the answers 0 and 10.
	if got := p.fails("/a"); got != "200 cache 10" {
		t.Error(got)
	}
}

func TestTheCacheIsSharedAndOutlivesAPlan(t *testing.T) {
	store := sharedstate.NewMemory()
	first, other := requesttest.StartOn(t, keeping, store), requesttest.StartOn(t, keeping, store)
	first.visit(visit{path: "/a", status: 200, body: []string{"some"}})
	if got := other.fails("/a"); got != "200 cache some" {
		t.Errorf("another worker: %s", got)
	}
	keyed := requesttest.StartOn(t, strings.Replace(keeping, `{"fallback":{`, `{"fallback":{"cache_key_headers":["x-tenant"],`, 1), store)
	if got := keyed.fails("/a"); got != "upstream's own" {
		t.Errorf("after a reload to another key: %s", got)
	}
}

func TestTheCacheComesFirstForItsReasonsOnly(t *testing.T) {
	const rules = `{"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"10s"},"bulkhead":{"max_concurrent":1},
		"rate_limit":{"algorithm":"token_bucket","burst_capacity":3,"refill_rate":0.001},"fallback":{"default_data":{"body":"default"},"continue":[%s]}}`
	p := requesttest.Start(t, fmt.Sprintf(rules, `"circuit_open","bulkhead_full","rate_limited"`))
	p.visit(visit{path: "/a", status: 200, body: []string{"some"}})
	holder, _ := p.Begin(request.Incoming{})
	if got := told(p.visit(visit{path: "/a", status: 200})); got != "200 cache some" {
		t.Errorf("bulkhead full: %s", got)
	}
	holder.Gone(requesttest.ClientLeft, 0, p.Now)
	if got := p.fails("/a"); got != "upstream's own" {
		t.Errorf("upstream's failure is not in `on`: %s", got)
	}
	if got := p.fails("/a"); got != "200 cache some" {
		t.Errorf("open: %s", got)
	}
	if got := p.fails("/b"); got != "200 default default" {
		t.Errorf("open, never kept: %s", got)
	}
	limited := requesttest.Start(t, `{"rate_limit":{"algorithm":"token_bucket","burst_capacity":1,"refill_rate":0.001},"fallback":{"continue":["rate_limited"]}}`)
	limited.visit(visit{path: "/a", status: 200, body: []string{"some"}})
	if got := told(limited.visit(visit{path: "/a", status: 200})); got != "200 cache some" {
		t.Errorf("limited: %s", got)
	}
}

func TestInShadowNothingIsKept(t *testing.T) {
	store := sharedstate.NewMemory()
	p := requesttest.StartOn(t, strings.Replace(keeping, "{", `{"mode":"shadow",`, 1), store)
	p.visit(visit{path: "/a", status: 200, body: []string{"some"}})
	if got := p.fails("/a"); got != "upstream's own" {
		t.Error(got)
	}
	if got := requesttest.StartOn(t, keeping, store).fails("/a"); got != "upstream's own" {
		t.Errorf("enforced afterwards: %s", got)
	}
}

// TestAMillionPaths asks for so many that everything that is kept of paths must have been given up many times.
func TestAMillionPaths(t *testing.T) {
	paths := 1_000_000
	if testing.Short() {
		paths = 20_000
	}
	store := sharedstate.NewMemory()
	p := requesttest.StartOn(t, `{"fallback":{"max_entries":16}}`, store)
	body := []string{strings.Repeat("x", 100)}
	for i := range paths {
		p.visit(visit{path: fmt.Sprintf("/%d", i), status: 200, body: body})
	}
	// 16 places, their index, the ledger, the seed and the workers' count.
	if got := store.Len(); got > 16+4 {
		t.Errorf("%d keys in the store", got)
	}
	if got := p.fails(fmt.Sprintf("/%d", paths-1)); got != "200 cache "+body[0] {
		t.Errorf("the last one: %s", got)
	}
	if got := p.fails("/0"); got != "503 degraded" && !strings.HasPrefix(got, "503 degraded") {
		t.Errorf("the first one: %s", got)
	}
}
