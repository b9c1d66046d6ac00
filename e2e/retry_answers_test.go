package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/e2e/upstream"
)

// retriedAnswer is what a later attempt is answered with, and how the client is to see it.
type retriedAnswer struct {
	name, method string
	behaves      upstream.Behaviour
	status       int
	body         string
	length       string // the header, "" where any will do
}

func retriedAnswers() []retriedAnswer {
	big := string(bytes.Repeat([]byte("0123456789abcdef"), 1<<16)) // 1 MB
	return []retriedAnswer{
		{"plain", "GET", upstream.Body("hello"), 200, "hello", "5"},
		{"empty", "GET", upstream.OK(), 200, "", "0"},
		{"head", "HEAD", upstream.OK().Header("Content-Length", "12345"), 200, "", "12345"},
		{"no-content", "GET", upstream.Status(204), 204, "", ""},
		{"not-modified", "GET", upstream.Status(304).Header("Etag", `"1"`), 304, "", ""},
		{"big", "GET", upstream.Body(big), 200, big, ""},
		{"pieces", "GET", upstream.Pieces(0, "one", "two", "three"), 200, "onetwothree", ""},
		{"failed", "GET", upstream.Status(503).Body("last words"), 503, "last words", "10"},
		{"failed-head", "HEAD", upstream.Status(503), 503, "", ""},
	}
}

// answerLater makes an upstream fail the first attempt of each request, and answer the second.
func answerLater(u *upstream.Upstream) {
	for _, a := range retriedAnswers() {
		whole := a.behaves.Header("X-Own", "1").Header("Set-Cookie", "a=1").Header("Set-Cookie", "b=2")
		u.ScriptAttempts(numberHeader, upstream.Path("/"+a.name), upstream.Status(500).Header("X-First", "1").Body("sorry"), whole)
	}
}

// check holds what the client sees to what the upstream answered to the second attempt.
func (want retriedAnswer) check(t *testing.T, w *weir, cluster string, u *upstream.Upstream) {
	r, id := w.numberedRequest(want.method, cluster, "/"+want.name)
	a := w.do(r)
	answeredOnce(t, a)
	if a.status != want.status || a.body != want.body {
		t.Errorf("%d with %d bytes, want %d with %d", a.status, len(a.body), want.status, len(want.body))
	}
	if got := a.header.Get("content-length"); want.length != "" && got != want.length || want.status == 204 && got != "" {
		t.Errorf("content-length %q, want %q", got, want.length)
	}
	if cookies := a.header.Values("set-cookie"); fmt.Sprint(cookies) != "[a=1 b=2]" || a.header.Get("x-own") != "1" || a.header.Get("x-first") != "" {
		t.Errorf("got headers %v, want those of the second response", a.header)
	}
	for _, hop := range []string{"keep-alive", "upgrade", "trailer"} {
		if got := a.header.Get(hop); got != "" {
			t.Errorf("hop-by-hop header %s: got %q, want none", hop, got)
		}
	}
	if got := len(u.Attempts(numberHeader, id)); got != 2 {
		t.Errorf("got %d attempts, want 2", got)
	}
}

// neverHalf: the second attempt's answer breaks off, or is longer than the filter keeps (8 MB). Who gets an answer with
// its end gets a whole one: the router's has no end, the filter says that there is none.
func neverHalf(t *testing.T, w *weir, cluster string, u *upstream.Upstream) {
	long := strings.Repeat("0123456789abcdef", 9<<16)
	for path, behaves := range map[string]upstream.Behaviour{"/half": upstream.HalfBody(1000), "/long": upstream.Body(long)} {
		u.ScriptAttempts(numberHeader, upstream.Path(path), upstream.Status(500).Body("sorry"), behaves)
		r, id := w.numberedRequest("GET", cluster, path)
		a := w.do(r)
		if whole := a.status != 200 || path == "/long" && a.body == long; a.err == nil && !whole {
			t.Errorf("%s: got a part of a response, %d bytes, as if it were the whole: %v", path, len(a.body), a.header)
		}
		if a.err == nil {
			answeredOnce(t, a)
		}
		if got := len(u.Attempts(numberHeader, id)); got != 2 {
			t.Errorf("%s: got %d attempts, want 2", path, got)
		}
		t.Logf("%s %s: %d with %d bytes, %v", cluster, path, a.status, len(a.body), a.err)
	}
}
