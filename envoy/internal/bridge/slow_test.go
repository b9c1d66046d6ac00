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
		{"nothing", timeLimits{short, long, long, long}, "", "", ""},
		{"a head, byte by byte", timeLimits{short, long, long, long}, "POST / HTTP/1.1\r\n", strings.Repeat("x-a: b\r\n", 100), ""},
		{"a body, byte by byte", timeLimits{long, short, long, long}, "POST / HTTP/1.1\r\nHost: b\r\nContent-Length: 900\r\n\r\n", strings.Repeat(" ", 900), "HTTP/1.1 400"},
		{"idle after an answer", timeLimits{long, long, long, short}, whole, "", "HTTP/1.1 200"},
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
			if !strings.HasPrefix(string(got), tc.want) || (tc.want == "") != (len(got) == 0) {
				t.Errorf("got %q, want an answer that begins with %q", got, tc.want)
			}
			if took := time.Since(began); took < short {
				t.Errorf("got it closed after %v, want %v or later", took, short)
			}
		})
	}
}

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
