package bridge

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// TestSlowConnections: a caller that sends slowly, nothing, or reads nothing is cut off, by each limit's own time. The
// other limits are long, so that they cannot be what does it.
func TestSlowConnections(t *testing.T) {
	const short, long = 150 * time.Millisecond, time.Hour
	const whole = "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 8\r\n\r\n[\"PING\"]"
	for _, tc := range []struct {
		name    string
		limits  timeLimits
		first   string // sent at once
		trickle string // then a byte of it every 10 ms
		want    string // how the first line of each answer begins
	}{
		{"nothing", timeLimits{short, long, long, long, long}, "", "", ""},
		{"a head, byte by byte", timeLimits{short, long, long, long, long}, "POST / HTTP/1.1\r\n", strings.Repeat("x-a: b\r\n", 100), ""},
		{"a body, byte by byte", timeLimits{long, long, short, long, long}, "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 900\r\n\r\n", strings.Repeat(" ", 900), "HTTP/1.1 400"},
		{"idle after an answer", timeLimits{long, long, long, long, short}, whole, "", "HTTP/1.1 200"},
		// HTTP/2: SETTINGS is answered, then come WINDOW_UPDATE frames, one byte of them at a time.
		{"no stream", timeLimits{short, long, long, long, long}, http2Preface, strings.Repeat("\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01", 100), "\x00\x00"},
		{"the preface, byte by byte", timeLimits{short, long, long, long, long}, "", http2Preface, ""},
		{"a frame, byte by byte, after a request", timeLimits{time.Second, short, long, long, long}, http2Preface + http2Request, "\x00\x10\x00\x01\x04\x00\x00\x00\x03" + strings.Repeat("x", 4096), "\x00\x00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := start(t, Options{Embedded: true, limits: tc.limits})
			began := time.Now()
			conn, err := net.Dial("tcp", b.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			go func() {
				_, err := io.WriteString(conn, tc.first)
				for i := 0; err == nil && i < len(tc.trickle); i++ {
					time.Sleep(10 * time.Millisecond)
					_, err = conn.Write([]byte{tc.trickle[i]})
				}
			}()
			if err := conn.SetReadDeadline(began.Add(patience)); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(conn)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("got the connection open after %v, want it closed after %v", patience, short)
			}
			// net/http answers 400 to a first line that its time limit cuts in two, depending on which of the two it notices first.
			closed := tc.want == "" && (len(got) == 0 || strings.HasPrefix(string(got), "HTTP/1.1 400"))
			if !closed && (tc.want == "" || !strings.HasPrefix(string(got), tc.want)) {
				t.Errorf("got %q, want an answer that begins with %q", got, tc.want)
			}
			if took := time.Since(began); took < short {
				t.Errorf("got it closed after %v, want %v or later", took, short)
			}
		})
	}
}

const http2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" // and empty SETTINGS

// http2Request is HEADERS for GET /health.
const http2Request = "\x00\x00\x0e\x01\x05\x00\x00\x00\x01" + "\x82\x86\x44\x07/health\x41\x01b"

// TestUnauthorizedConnectionsAreClosed: who has not shown the token holds no connection, who has keeps it.
func TestUnauthorizedConnectionsAreClosed(t *testing.T) {
	b := start(t, Options{Embedded: true, Token: "secret"})
	for _, tc := range []struct {
		name, request string
		status        int
		closed        bool
	}{
		{"no token", "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 8\r\n\r\n[\"PING\"]", 401, true},
		{"a wrong method", "PUT / HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n", 405, true},
		{"a wrong path", "GET /x HTTP/1.1\r\nHost: b\r\n\r\n", 404, true},
		{"the token", "POST / HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer secret\r\nContent-Length: 8\r\n\r\n[\"PING\"]", 200, false},
	} {
		conn, err := net.Dial("tcp", b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, tc.request); err != nil {
			t.Fatal(err)
		}
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if r.StatusCode != tc.status || r.Close != tc.closed {
			t.Errorf("%s: got status %d, closed %v, want %d, %v", tc.name, r.StatusCode, r.Close, tc.status, tc.closed)
		}
		_ = conn.Close()
	}
}

// TestMaxConnections: callers beyond the bound are closed at once, and one that leaves makes room. The others are served.
func TestMaxConnections(t *testing.T) {
	b := start(t, Options{Embedded: true, MaxConnections: 2})
	dial := func() net.Conn {
		t.Helper()
		conn, err := net.Dial("tcp", b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(patience))
		return conn
	}
	ask := func(conn net.Conn) string {
		_, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 8\r\n\r\n[\"PING\"]")
		if err != nil {
			return "closed"
		}
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return "closed"
		}
		_, _ = io.Copy(io.Discard, r.Body)
		return r.Status
	}
	first, second := dial(), dial()
	for name, conn := range map[string]net.Conn{"first": first, "second": second} {
		if got := ask(conn); got != "200 OK" {
			t.Errorf("%s: got %s, want 200", name, got)
		}
	}
	if got := ask(dial()); got != "closed" {
		t.Errorf("third: got %s, want it closed", got)
	}
	if got := ask(first); got != "200 OK" {
		t.Errorf("first again: got %s, want 200", got)
	}
	_ = second.Close()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if got := ask(dial()); got == "200 OK" {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("after one has left: got %s, want 200", got)
		}
	}
	if b.listener.refused.Load() == 0 {
		t.Error("got no refused connections counted, want one or more")
	}
}
