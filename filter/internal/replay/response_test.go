package replay

import (
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/internal/host/pairs"
)

// The texts were seen in Envoy 1.40.
const before = "upstream connect error or disconnect/reset before headers. reset reason: "

func TestResponse(t *testing.T) {
	up := []string{"x-envoy-upstream-service-time", "3"}
	envoy := func(status, body string) CallResult {
		return CallResult{
			Headers: pairs.Pack(each(":status", status, "content-length", "9", "content-type", "text/plain")),
			Body:    []byte(body), BodySize: len(body),
		}
	}
	upstream := func(status, body string, more ...string) CallResult {
		return CallResult{
			Headers: pairs.Pack(each(append(append([]string{":status", status}, more...), up...)...)),
			Body:    []byte(body), BodySize: len(body),
		}
	}
	reset := func(why string) string { return "upstream_reset_before_response_started{" + why + "}" }
	tests := []struct {
		name    string
		ended   CallResult
		status  int
		details string
		headers string
		reason  Reason
	}{
		{
			"upstream", upstream("200", "x", "content-type", "a/b", "date", "d", "server", "s"), 200, "via_upstream",
			"content-type: a/b | date: d | server: s | x-envoy-upstream-service-time: 3", None,
		},
		{
			"cookies", upstream("200", "", "set-cookie", "a=1, b", "set-cookie", "c=2"), 200, "via_upstream",
			"set-cookie: a=1, b | set-cookie: c=2 | x-envoy-upstream-service-time: 3", None,
		},
		{
			"no type", upstream("200", "x"), 200, "via_upstream",
			"x-envoy-upstream-service-time: 3 | content-type: application/octet-stream", None,
		},
		{"the connection's", upstream(
			"200", "", "connection", "close, x-hop", "x-hop", "1", "keep-alive", "1", "transfer-encoding", "chunked", "trailer", "x-sum",
			"upgrade", "h2c", "proxy-connection", "x", "te", "x", "content-length", "5",
		), 200, "via_upstream", "content-length: 5 | x-envoy-upstream-service-time: 3", None},
		{"Weir's", upstream("200", "", "x-weir-source", "cache"), 200, "via_upstream", "x-envoy-upstream-service-time: 3", None},
		{"nothing new", upstream("304", "", "etag", `"x"`), 304, "via_upstream", `etag: "x" | x-envoy-upstream-service-time: 3`, None},
		{"nothing", upstream("204", ""), 204, "via_upstream", "x-envoy-upstream-service-time: 3", None},
		{
			"upstream's own 503, in Envoy's words", upstream("503", before+"overflow", "content-type", "t"), 503, "via_upstream",
			"content-type: t | x-envoy-upstream-service-time: 3", None,
		},
		{"upstream's own 504", upstream("504", ""), 504, "via_upstream", "x-envoy-upstream-service-time: 3", None},
		{"a status beyond", upstream("777", ""), 502, "via_upstream", "x-envoy-upstream-service-time: 3", InvalidStatus},
		{"switching", upstream("101", ""), 502, "via_upstream", "x-envoy-upstream-service-time: 3", InvalidStatus},
		{"no status", upstream("ok", ""), 502, "via_upstream", "x-envoy-upstream-service-time: 3", InvalidStatus},
		{
			"closed", envoy("503", before+"connection termination"), 503, reset("connection_termination"),
			"content-length: 9 | content-type: text/plain", None,
		},
		{
			"HTTP/2 reset", envoy("503", before+"remote reset"), 503, reset("remote_reset"),
			"content-length: 9 | content-type: text/plain", None,
		},
		{
			"no HTTP", envoy("502", before+"protocol error"), 502, reset("protocol_error"),
			"content-length: 9 | content-type: text/plain", None,
		},
		{
			"refused", envoy("503", before+"remote connection failure"), 503, reset("remote_connection_failure"),
			"content-length: 9 | content-type: text/plain", None,
		},
		{
			"refused, with a reason", envoy("503", before+"remote connection failure, transport failure reason: TLS_error: x"), 503,
			reset("remote_connection_failure"), "content-length: 9 | content-type: text/plain", None,
		},
		{
			"no connection in time", envoy("503", before+"connection timeout"), 503, reset("connection_timeout"),
			"content-length: 9 | content-type: text/plain", None,
		},
		{"too many", envoy("503", before+"overflow"), 503, reset("overflow"), "content-length: 9 | content-type: text/plain", None},
		{
			"nobody healthy", envoy("503", "no healthy upstream"), 503, "no_healthy_upstream",
			"content-length: 9 | content-type: text/plain", None,
		},
		{"late", envoy("504", "upstream request timeout"), 504, "response_timeout", "content-length: 9 | content-type: text/plain", None},
		{"maintenance", envoy("503", "maintenance mode"), 503, "weir_local_reply", "content-length: 9 | content-type: text/plain", None},
		{
			"broken off",
			CallResult{Took: time.Second, Timeout: 2 * time.Second},
			502,
			"upstream_reset_after_response_started{remote_reset}", "content-type: text/plain", None,
		},
		{
			"not whole in time",
			CallResult{Took: 2001 * time.Millisecond, Timeout: 2 * time.Second},
			504, "response_timeout",
			"content-type: text/plain", None,
		},
		{
			"broken off, without a timeout",
			CallResult{Took: time.Hour},
			502, "upstream_reset_after_response_started{remote_reset}",
			"content-type: text/plain", None,
		},
		{
			"too long",
			CallResult{Headers: upstream("200", "").Headers, BodySize: MaxResponse + 1},
			200, "via_upstream",
			"x-envoy-upstream-service-time: 3", ResponseTooLong,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := NewRecorder()
			for range 2 { // the second one finds the memory of the first
				a := r.Response(&test.ended)
				if a.Status != test.status || a.Details != test.details || a.Reason != test.reason {
					t.Errorf("got %d %s %v, want %d %s %v", a.Status, a.Details, a.Reason, test.status, test.details, test.reason)
				}
				if got := lines(a.Headers); got != test.headers {
					t.Errorf("got headers\n%q\nwant\n%q", got, test.headers)
				}
				if test.ended.Headers == nil && len(a.Body) == 0 {
					t.Errorf("got body %q of a call without a response, want Envoy's text", a.Body)
				}
			}
		})
	}
}

func TestRetryAfterIsNotParsed(t *testing.T) {
	r := NewRecorder()
	a := r.Response(&CallResult{Headers: pairs.Pack(each(":status", "503", "retry-after", "Fri, 31 Dec 1999 23:59:59 GMT"))})
	if a.RetryAfter != "Fri, 31 Dec 1999 23:59:59 GMT" {
		t.Errorf("got Retry-After %q, want the header's value", a.RetryAfter)
	}
	if a = r.Response(&CallResult{}); a.RetryAfter != "" {
		t.Errorf("without headers: got Retry-After %q, want \"\"", a.RetryAfter)
	}
}

func TestInPlace(t *testing.T) {
	headers := each("content-length", "777", "x-weir-source", "other", "set-cookie", "a", "set-cookie", "b")
	set := each("x-weir-source", "upstream", "age", "0")
	got := lines(InPlace(404, With(headers, set)))
	if want := ":status: 404 | content-length: 777 | set-cookie: a | set-cookie: b | x-weir-source: upstream | age: 0"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestResponseAllocatesLittle(t *testing.T) {
	r := NewRecorder()
	e := CallResult{Headers: pairs.Pack(each(":status", "200", "content-type", "a/b", "etag", "x",
		"x-envoy-upstream-service-time", "3")), Body: []byte("x"), BodySize: 1}
	if n := testing.AllocsPerRun(100, func() { r.Response(&e) }); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

// FuzzResponse: a response has a status that can be sent, and no hop-by-hop headers, whatever the call returned.
func FuzzResponse(f *testing.F) {
	f.Add([]byte(pairs.Pack(each(":status", "503", "connection", "x"))), []byte(before+"overflow, x"), 0, int64(5), int64(4))
	f.Add([]byte(nil), []byte(nil), -1, int64(0), int64(0))
	f.Fuzz(func(t *testing.T, headers, body []byte, size int, took, timeout int64) {
		r := NewRecorder()
		a := r.Response(&CallResult{
			Headers: headers, Body: body, BodySize: size, Took: time.Duration(took),
			Timeout: time.Duration(timeout),
		})
		if a.Status < 200 || a.Status > 599 || a.Details == "" {
			t.Fatalf("got status %d, details %q; want 200 to 599, and some details", a.Status, a.Details)
		}
		if a.Reason == None && size > len(body) && len(headers) > 0 {
			t.Fatalf("with %d of %d bytes of the body: got reason None, want ResponseTooLong", len(body), size)
		}
		for _, h := range a.Headers {
			if isHopByHop(h[0]) || strings.HasPrefix(h[0], "x-weir-") || h[0] == ":status" {
				t.Fatalf("got header %q, want no :status, no hop-by-hop header and no x-weir-", h)
			}
		}
	})
}

// TestResponseByWhatWeirNotes: what the plugin in the internal listener notes counts for more than what the call tells.
func TestResponseByWhatWeirNotes(t *testing.T) {
	answer := pairs.Pack([][2]string{{":status", "403"}, {"x-envoy-upstream-service-time", "1"}})
	for _, tc := range []struct {
		name    string
		attempt Attempt
		details string
		status  int
		reason  Reason
	}{
		{"upstream answered", Attempt{Seen: true, Status: 403, Details: "via_upstream"}, "via_upstream", 403, None},
		{"a filter behind Weir answered", Attempt{Seen: true, Details: "rbac_access_denied"}, "rbac_access_denied", 403, None},
		{"a filter before Weir answered", Attempt{}, "weir_local_reply", 403, Unseen},
		{"Weir ended it before a response", Attempt{Seen: true, Reason: Metadata}, "weir_local_reply", 403, Metadata},
		{"Weir ended a good response", Attempt{Seen: true, Status: 200, Details: "via_upstream", Reason: ResponseTooLong}, "via_upstream", 200, ResponseTooLong},
		{"Weir ended a failing response", Attempt{Seen: true, Status: 500, Details: "via_upstream", Reason: ResponseTooLong}, "via_upstream", 500, ResponseTooLong},
	} {
		got := NewRecorder().Response(&CallResult{Headers: answer, Attempt: &tc.attempt})
		if got.Details != tc.details || got.Status != tc.status || got.Reason != tc.reason {
			t.Errorf("%s: got %s, %d, %v, want %s, %d, %v", tc.name, got.Details, got.Status, got.Reason, tc.details, tc.status, tc.reason)
		}
	}
}
