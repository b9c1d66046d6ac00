package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/weir-mesh/weir/sharedstate/redis/redistest/port"
)

// patience is how long a scripted peer waits for the other side.
const patience = 45 * time.Second

// raw is a client over TCP that sends what its test writes, when it writes it.
type raw struct {
	*net.TCPConn
	t *testing.T
	r *bufio.Reader
}

// dial connects to Envoy. A receive buffer of some bytes makes it a client that can't take much without reading.
func (w *weir) dial(receiveBuffer int) *raw {
	w.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	tcp := conn.(*net.TCPConn)
	w.t.Cleanup(func() { _ = tcp.Close() })
	if receiveBuffer > 0 {
		if err := tcp.SetReadBuffer(receiveBuffer); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := tcp.SetDeadline(time.Now().Add(patience)); err != nil {
		w.t.Fatal(err)
	}
	return &raw{tcp, w.t, bufio.NewReader(tcp)}
}

// send writes a text; a connection that Envoy has closed meanwhile is no fault of the script.
func (c *raw) send(text string) { _, _ = io.WriteString(c, text) }

// answer reads the response's headers.
func (c *raw) answer() *http.Response {
	c.t.Helper()
	response, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Errorf("no answer: %v", err)
		return &http.Response{Body: http.NoBody}
	}
	return response
}

// rest reads until Envoy closes the connection, or the body ends.
func rest(r *http.Response) { _, _ = io.Copy(io.Discard, r.Body) }

// frames is a client or a server over HTTP/2 that sends the frames its test writes. It acknowledges settings and pings;
// it gives no window unless it is told to.
type frames struct {
	*http2.Framer
	conn    net.Conn
	t       *testing.T
	block   bytes.Buffer
	encoder *hpack.Encoder
}

func newFrames(t *testing.T, conn net.Conn, r io.Reader) *frames {
	f := &frames{Framer: http2.NewFramer(conn, r), conn: conn, t: t}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.encoder = hpack.NewEncoder(&f.block)
	return f
}

// dial2 connects to Envoy by HTTP/2.
func (w *weir) dial2(settings ...http2.Setting) *frames {
	w.t.Helper()
	c := w.dial(0)
	c.send(http2.ClientPreface)
	f := newFrames(w.t, c, c.r)
	if err := f.WriteSettings(settings...); err != nil {
		w.t.Fatal(err)
	}
	return f
}

// headers sends a block of headers, name and value in turn.
func (f *frames) headers(stream uint32, ended bool, pairs ...string) {
	f.t.Helper()
	f.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		if err := f.encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]}); err != nil {
			f.t.Fatal(err)
		}
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: f.block.Bytes(), EndHeaders: true, EndStream: ended})
}

// request sends the headers of a request on stream 1.
func (f *frames) request(method, cluster string, ended bool, more ...string) {
	f.headers(1, ended, append([]string{":method", method, ":scheme", "http", ":authority", cluster, ":path", "/"}, more...)...)
}

// frame is the next frame that is not housekeeping, nil when the other side has closed.
func (f *frames) frame() http2.Frame {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return nil
		}
		switch g := frame.(type) {
		case *http2.SettingsFrame:
			if !g.IsAck() {
				_ = f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !g.IsAck() {
				_ = f.WritePing(true, g.Data)
			}
		case *http2.WindowUpdateFrame, *http2.PriorityFrame:
		default:
			return frame
		}
	}
}

// answer waits for the response's headers and returns its status.
func (f *frames) answer() string {
	f.t.Helper()
	for {
		switch g := f.frame().(type) {
		case nil:
			f.t.Error("no answer: the connection was closed")
			return ""
		case *http2.MetaHeadersFrame:
			return g.PseudoValue("status")
		case *http2.RSTStreamFrame:
			f.t.Errorf("no answer: reset %v", g.ErrCode)
			return ""
		}
	}
}

// over waits for the end of the stream, or of the connection.
func (f *frames) over() {
	for {
		frame := f.frame()
		switch frame.(type) {
		case nil, *http2.RSTStreamFrame:
			return
		}
		if frame.Header().Flags.Has(http2.FlagDataEndStream) {
			return
		}
	}
}

// message is a gRPC message of n bytes.
func message(n int) []byte {
	m := make([]byte, 5+n)
	m[3], m[4] = byte(n>>8), byte(n)
	return m
}

// scripted is an upstream whose every connection a test answers itself. A request for /fail gets 500.
func scripted(t *testing.T, answer func(conn *net.TCPConn, r *http.Request)) uint32 {
	t.Helper()
	return listen(t, func(conn *net.TCPConn) {
		r := bufio.NewReader(conn)
		request, err := http.ReadRequest(r)
		if err != nil {
			return // a health check, or Envoy at its end
		}
		if request.URL.Path == "/fail" {
			_, _ = io.WriteString(conn, "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
			return
		}
		answer(conn, request)
	})
}

// scripted2 is an upstream that answers the streams of a connection by HTTP/2 frames. A request for /fail gets 500.
func scripted2(t *testing.T, answer func(f *frames, stream uint32)) uint32 {
	t.Helper()
	return listen(t, func(conn *net.TCPConn) {
		r := bufio.NewReader(conn)
		if _, err := io.ReadFull(r, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		f := newFrames(t, conn, r)
		if err := f.WriteSettings(); err != nil {
			return
		}
		for {
			frame := f.frame()
			if frame == nil {
				return
			}
			if h, ok := frame.(*http2.MetaHeadersFrame); ok {
				if h.PseudoValue("path") == "/fail" {
					f.headers(h.StreamID, true, ":status", "500")
				} else {
					answer(f, h.StreamID)
				}
			}
		}
	})
}

// listen serves each connection of a port of its own until the test ends.
func listen(t *testing.T, serve func(*net.TCPConn)) uint32 {
	t.Helper()
	number := port.Reserve(t)
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(number)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			tcp := conn.(*net.TCPConn)
			t.Cleanup(func() { _ = tcp.Close() })
			go func() {
				defer func() { _ = tcp.Close() }()
				serve(tcp)
			}()
		}
	}()
	return uint32(number)
}

// cutOff closes a connection by RST.
func cutOff(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

// untilClosed waits until the other side closes.
func untilClosed(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
