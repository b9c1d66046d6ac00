package replay

import (
	"strings"
	"testing"

	"github.com/weir-mesh/weir/filter/internal/host/pairs"
)

func TestRequestHeaders(t *testing.T) {
	tests := []struct {
		name, body string
		more       []string
		want       string
	}{
		{
			"as they came", "",
			[]string{"user-agent", "x", "cookie", "a=1", "cookie", "b=2", "range", "bytes=0-1"},
			" | user-agent: x | cookie: a=1 | cookie: b=2 | range: bytes=0-1",
		},
		{
			"the client's", "",
			[]string{"x-forwarded-for", "192.0.2.1", "x-request-id", "r", "authorization", "b"},
			" | x-forwarded-for: 192.0.2.1 | x-request-id: r | authorization: b",
		},
		{"the connection's", "x", []string{
			"connection", "keep-alive, X-Hop", "keep-alive", "timeout=5", "x-hop", "1", "proxy-connection", "close",
			"te", "trailers", "trailer", "x-sum", "transfer-encoding", "chunked", "http2-settings", "AAMAAABk", "x-hop-not", "1",
		}, " | x-hop-not: 1"},
		{"what connection may not name", "", []string{"connection", ":path, , :method"}, ""},
		{"two connections", "", []string{"connection", "x-a", "connection", "x-b\t", "x-a", "1", "x-b", "2"}, ""},
		{"a length", "12345", []string{"content-length", "5"}, ""},
		{"a length of 0", "", []string{"content-length", "0"}, " | content-length: 0"},
		{"a length that is wrong now", "x", []string{"content-length", "0"}, ""},
		{"an expectation", "x", []string{"expect", "100-continue"}, ""},
		{"the router's", "", []string{
			"x-envoy-max-retries", "3", "x-envoy-retry-on", "5xx", "x-envoy-retry-grpc-on", "cancelled", "x-envoy-retriable-status-codes", "429",
			"x-envoy-retriable-header-names", "x", "x-envoy-upstream-rq-timeout-ms", "1", "x-envoy-upstream-rq-per-try-timeout-ms", "1",
			"x-envoy-upstream-rq-timeout-alt-response", "1", "x-envoy-upstream-stream-duration-ms", "1", "x-envoy-hedge-on-per-try-timeout", "true",
			"x-envoy-upstream-alt-stat-name", "x", "x-envoy-expected-rq-timeout-ms", "1", "x-envoy-external-address", "192.0.2.1", "x-envoy-original-path", "/p",
		}, " | x-envoy-external-address: 192.0.2.1 | x-envoy-original-path: /p"},
		{"Weir's", "", []string{"x-weir-cluster", "eu", "x-weird", "1"}, " | x-weird: 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			from := NewRecorder()
			var r Recording
			packed := get(test.more...)
			r.Begin(from, packed, test.body == "", 100)
			clear(packed) // it was the host's
			if test.body != "" {
				r.Body([]byte(test.body), true)
			}
			for range 2 { // each attempt is the same
				headers, body := r.Request()
				if got := lines(headers); got != test.want {
					t.Errorf("got  %q\nwant %q", got, test.want)
				}
				if string(body) != test.body {
					t.Errorf("got body %q, want %q", body, test.body)
				}
			}
		})
	}
}

// FuzzRequest: Request returns only headers that were recorded, and no hop-by-hop headers, whatever was recorded.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(get("connection", "x-a", "x-a", "1")), []byte("body"), uint8(3))
	f.Add([]byte(nil), []byte(nil), uint8(0))
	f.Add([]byte{255, 255, 255, 255, 1, 0, 0, 0}, []byte("x"), uint8(1))
	f.Fuzz(func(t *testing.T, packed, body []byte, cut uint8) {
		from := NewRecorder()
		var r Recording
		r.Begin(from, packed, false, 1<<16)
		at := min(int(cut), len(body))
		r.Body(body[:at], false)
		r.Body(body[at:], true)
		headers, sent := r.Request()
		if r.Whole() && string(sent) != string(body) {
			t.Fatalf("got body %q, want %q", sent, body)
		}
		seen := map[[2]string]int{}
		pairs.Packed(packed).All(func(name, value string) bool {
			seen[[2]string{name, value}]++
			return true
		})
		for _, h := range headers {
			if seen[h]--; seen[h] < 0 {
				t.Fatalf("got header %q, want only recorded ones", h)
			}
			if isHopByHop(h[0]) || strings.HasPrefix(h[0], "x-weir-") {
				t.Fatalf("got header %q, want no hop-by-hop header and no x-weir-", h)
			}
		}
		r.Drop()
		if from.Bytes() != 0 {
			t.Fatalf("after Drop: got %d bytes in use, want 0", from.Bytes())
		}
	})
}
