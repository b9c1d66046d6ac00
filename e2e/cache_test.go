package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/upstream"
)

// The tests of the fallback cache share one way of asking. A request that carries failHeader is failed by its upstream,
// whatever that answers to others: so a cache is filled by one request and asked by another, and the upstream stays as
// it is. Weir takes its name for a tracer's, which says nothing of the client.
const failHeader = "sentry-trace"

// missed is the default data of the caches under test: what a request gets that they have nothing for.
const missed = "not in the cache"

// onMiss is missed in a policy.
const onMiss = `default_data: {body: "not in the cache"}`

// answering is an upstream that answers by path, and 500 to everything else and to requests with failHeader.
func answering(t *testing.T, answers map[string]upstream.Behaviour) *upstream.Upstream {
	t.Helper()
	u := upstream.New(t)
	u.Set(upstream.Status(500).Body("sorry"))
	for path, b := range answers {
		u.When(asked(path), b)
	}
	return u
}

// asked is a condition for upstream.When: the path, and no failHeader.
func asked(path string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.URL.Path == path && healthy(r) }
}

// healthy is a condition for upstream.When: no failHeader.
func healthy(r *http.Request) bool { return r.Header.Get(failHeader) == "" }

// in is the same Envoy for a subtest.
func (w *weir) in(t *testing.T) *weir { return &weir{Envoy: w.Envoy, t: t, url: w.url} }

// send sends a request with some headers, name and value in turn.
func (w *weir) send(method, cluster, path string, headers ...string) answer {
	w.t.Helper()
	r := w.request(w.t.Context(), method, cluster, path)
	setAll(r, headers)
	return w.do(r)
}

// sendOver is send over a connection that is there.
func (w *weir) sendOver(client *http.Client, cluster, path string, headers ...string) answer {
	w.t.Helper()
	r := w.request(w.t.Context(), http.MethodGet, cluster, path)
	setAll(r, headers)
	return send(client, r)
}

func setAll(r *http.Request, headers []string) {
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
}

// sendFailing is send for a request that its upstream fails.
func (w *weir) sendFailing(method, cluster, path string, headers ...string) answer {
	w.t.Helper()
	return w.send(method, cluster, path, append([]string{failHeader, "500"}, headers...)...)
}

// raw sends a text unchanged, over a connection of its own, and reads the response to a request of that method.
func (w *weir) raw(method, text string) answer {
	w.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	// Envoy may answer and close before it has read all: then the answer is what counts.
	_, _ = io.WriteString(conn, text)
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		return answer{err: err, header: http.Header{}}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: string(body), err: err}
}

// fill gets upstream's own response, which puts it in the cache if it may be stored.
func fill(t *testing.T, a answer) answer {
	t.Helper()
	if a.err != nil || a.source() != "upstream" || a.reason() != "" || a.status/100 != 2 {
		t.Fatalf("filling the cache: %+v, want upstream's answer", a)
	}
	return a
}

// hit checks that a response came from the cache, fresh or stale, with the headers of a kept response that docs/answers.md lists
// under "What a client sees".
func hit(t *testing.T, what string, a answer, source, body string) {
	t.Helper()
	if a.err != nil || a.source() != source || a.body != body {
		t.Errorf("%s: %+v, want %q from %s", what, a, body, source)
		return
	}
	if a.header.Get("x-weir-fallback-used") != "true" || a.reason() == "" || a.header.Get("x-weir-degraded-mode") != "" {
		t.Errorf("%s: got marks %v, want fallback-used, a reason and no degraded mode", what, a.header)
	}
	status := a.header.Values("cache-status")
	want := "weir; hit; ttl=" // RFC 9211
	switch {
	case a.reason() != "upstream_failure":
	case source == "stale_cache":
		want = "weir; fwd=stale; fwd-status=5"
	default:
		want = "weir; fwd=bypass; fwd-status=5"
	}
	if len(status) != 1 || !strings.HasPrefix(status[0], want) {
		t.Errorf("%s: cache-status %q, want %s…", what, status, want)
	}
	warning := ""
	if source == "stale_cache" {
		warning = `110 weir "Response is Stale"`
	}
	if got := a.header.Get("warning"); got != warning {
		t.Errorf("%s: warning %q, want %q", what, got, warning)
	}
	if got := age(a); got < 0 {
		t.Errorf("%s: got age %q, want 0 or more", what, a.header.Values("age"))
	}
}

// age is an answer's age in seconds, -1 where it does not have one.
func age(a answer) int {
	values := a.header.Values("age")
	if len(values) != 1 {
		return -1
	}
	seconds, err := strconv.Atoi(values[0])
	if err != nil || seconds < 0 {
		return -1
	}
	return seconds
}

// miss checks that the cache had nothing for a request, so that the next step of the chain answered.
func miss(t *testing.T, what string, a answer) {
	t.Helper()
	if a.err != nil || a.source() != "default" || a.body != missed || a.reason() != "upstream_failure" {
		t.Errorf("%s: %+v, want the default data", what, a)
	}
	if strings.Contains(a.header.Get("cache-status"), "hit") || a.header.Get("age") != "" || a.header.Get("warning") != "" {
		t.Errorf("%s: got default data with the marks of a cached response: %v", what, a.header)
	}
}
