package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/weir-mesh/weir/e2e/upstream"
)

// refusing is an upstream that answers 503 when it has a request's headers, and reads on. It says when it has answered.
func refusing(t *testing.T) (port uint32, answered chan struct{}) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	answered = make(chan struct{}, 100)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				from := bufio.NewReader(c)
				if _, err := http.ReadRequest(from); err != nil {
					return
				}
				_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\n\r\nsorry")
				answered <- struct{}{}
				_, _ = io.Copy(io.Discard, from)
			}()
		}
	}()
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatal("got no TCP address")
	}
	return uint32(address.Port), answered
}

// TestUploadThatFailsEarly: upstream answers 503 while the client still sends. The router waits for its retry, and what
// comes meanwhile is more than it keeps (1 MiB). Envoy's own answer is then 507, about the client's request.
func TestUploadThatFailsEarly(t *testing.T) {
	t.Parallel()
	const late = "base_delay: 1h, max_delay: 1h" // drawn between 0 and an hour: no upload outlasts it
	tests := []struct {
		name, rules string
		client      string
		length      int64 // that the request declares; -1: none
		size        int   // in all
		body        string
	}{
		{"chunked", late, "http1", -1, 2_600_000, ""},
		{"frames", late, "http2", -1, 20_000_000, ""}, // of HTTP/2 the router keeps as much as the stream's window, 16 MiB
		{"told-before", late, "http1", 2_600_000, 2_600_000, "sorry"},
		{"told-before-http2", late, "http2", 2_600_000, 2_600_000, "sorry"},
		{"short", "max_attempts: 2, base_delay: 5ms", "http1", -1, 1000, "sorry"},
		{"other-method", "methods: [GET], " + late, "http1", -1, 2_600_000, "sorry"},
	}
	policy, upstreams, ports, answered := "clusters:\n", map[string]*upstream.Upstream{}, map[string]uint32{}, map[string]chan struct{}{}
	for _, test := range tests {
		policy += fmt.Sprintf("  %s: {retry: {%s, budget: {min_per_second: 1000}}, circuit_breaker: {}}\n", test.name, test.rules)
		upstreams[test.name] = upstream.New(t)
		ports[test.name], answered[test.name] = refusing(t)
	}
	o := options(t, policy, upstreams)
	for i := range o.Upstreams {
		o.Upstreams[i].Port = ports[o.Upstreams[i].Name]
	}
	w := startWith(t, o)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := w.in(t)
			reader, writer := io.Pipe()
			r, _ := w.numberedRequest("PUT", test.name, "/")
			r.Body, r.ContentLength = reader, test.length
			if test.length > 0 {
				r.Header.Set("expect", "100-continue")
			}
			got := make(chan answer, 1)
			go func() { got <- w.doBy(transportOf(test.client), r) }()
			first := min(test.size, 100_000)
			_, err := writer.Write(make([]byte, first))
			<-answered[test.name]
			if err == nil && test.size > first {
				_, err = io.Copy(writer, bytes.NewReader(make([]byte, test.size-first))) // fails where the answer has come
			}
			_ = writer.CloseWithError(err)
			if a := <-got; a.err != nil || a.status != 503 || test.body != "" && a.body != test.body || a.reason() != "upstream_failure" {
				t.Errorf("got %+v, want 503 %s", a, test.body)
			}
		})
	}
}

// transportOf speaks one protocol alone, over a connection of its own.
func transportOf(protocol string) *http.Transport {
	var speaks http.Protocols
	speaks.SetHTTP1(protocol == "http1")
	speaks.SetUnencryptedHTTP2(protocol == "http2")
	return &http.Transport{DisableKeepAlives: true, DisableCompression: true, Protocols: &speaks}
}
