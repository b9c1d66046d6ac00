package upstream

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Behaviour is the way one request is answered. Behaviours are values: the methods return changed copies.
//
//	upstream.Status(503).Body("busy").Header("retry-after", "3").After(50 * time.Millisecond)
type Behaviour struct {
	delay  time.Duration
	header http.Header
	body   string
	status int
	play   func(b Behaviour, w http.ResponseWriter, r *http.Request)
}

// OK answers an empty 200.
func OK() Behaviour { return Status(http.StatusOK) }

// Status answers with a status code and no body.
func Status(code int) Behaviour { return Behaviour{status: code, play: reply} }

// Body answers 200 with a text.
func Body(text string) Behaviour { return OK().Body(text) }

// Delay answers 200 after d. A client that leaves before ends it.
func Delay(d time.Duration) Behaviour { return OK().After(d) }

// Hang never answers; it ends when the client goes.
func Hang() Behaviour {
	return Behaviour{play: func(_ Behaviour, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }}
}

// Reset reads the request and then resets: HTTP/1.1 by a TCP RST in place of an answer, HTTP/2 by RST_STREAM, which
// leaves the connection's other streams alone.
func Reset() Behaviour {
	return Behaviour{play: func(_ Behaviour, _ http.ResponseWriter, r *http.Request) { reset(r) }}
}

// ResetAfterHeaders sends the headers of a 200 that promise a body, and then resets as Reset does.
func ResetAfterHeaders() Behaviour { return HalfBody(0) }

// HalfBody sends the headers of a 200 that promise 2n+1 bytes, then n of them, and then resets as Reset does.
func HalfBody(n int) Behaviour {
	return Behaviour{status: http.StatusOK, play: func(b Behaviour, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("content-length", strconv.Itoa(2*n+1))
		w.WriteHeader(b.status)
		_, _ = io.WriteString(w, strings.Repeat("x", n)) // a client that is gone already gets the reset all the same
		flush(w)
		reset(r)
	}}
}

// Pieces answers 200 with a body of no stated length, in several pieces with a pause between them, so that each is read
// for itself.
func Pieces(pause time.Duration, parts ...string) Behaviour {
	return Behaviour{status: http.StatusOK, play: func(b Behaviour, w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(b.status)
		for i, part := range parts {
			if i > 0 {
				select {
				case <-time.After(pause):
				case <-r.Context().Done():
					return
				}
			}
			_, _ = io.WriteString(w, part) // fails when the client is gone, which answer finds out for itself
			flush(w)
		}
	}}
}

// Raw sends a text in place of an answer, unchanged, and closes the connection in order, by FIN: for what net/http
// would not send, such as a false content-length. HTTP/1.1 only.
func Raw(text string) Behaviour {
	return Behaviour{play: func(_ Behaviour, w http.ResponseWriter, r *http.Request) {
		socket, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(fmt.Sprintf("upstream: Raw over %s: %v", r.Proto, err))
		}
		_, _ = io.WriteString(socket, text) // a client that is gone has nothing to be lied to
		_ = socket.Close()
	}}
}

// Short promises a body that is longer than what it sends, and ends the answer in order: over HTTP/1.1 by closing the
// connection (FIN), over HTTP/2 by whatever net/http makes of it.
func Short(promised int, body string) Behaviour {
	return OK().Body(body).Header("Content-Length", strconv.Itoa(promised))
}

// GRPC answers a gRPC call, over HTTP/2. With inTrailers one empty message comes first and grpc-status is in the
// trailers; without, there are only headers and grpc-status is one of them ("Trailers-Only", gRPC over HTTP/2).
func GRPC(code int, inTrailers bool) Behaviour {
	return Behaviour{status: http.StatusOK, play: func(b Behaviour, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("content-type", "application/grpc")
		if !inTrailers {
			w.Header().Set("grpc-status", strconv.Itoa(code))
			w.WriteHeader(b.status)
			return
		}
		w.WriteHeader(b.status)
		_, _ = w.Write(make([]byte, 5)) // not compressed, length 0
		flush(w)
		w.Header().Set(http.TrailerPrefix+"grpc-status", strconv.Itoa(code))
	}}
}

// Func answers by any handler, for what the others do not offer. Of the request's body, which was read by then, it
// finds the first 64 KB.
func Func(h http.HandlerFunc) Behaviour {
	return Behaviour{play: func(_ Behaviour, w http.ResponseWriter, r *http.Request) { h(w, r) }}
}

// After is b, begun d later.
func (b Behaviour) After(d time.Duration) Behaviour {
	b.delay = d
	return b
}

// Body is b with a response body, for Status and OK.
func (b Behaviour) Body(text string) Behaviour {
	b.body = text
	return b
}

// Header is b with one more response header.
func (b Behaviour) Header(name, value string) Behaviour {
	b.header = b.header.Clone()
	if b.header == nil {
		b.header = http.Header{}
	}
	b.header.Add(name, value)
	return b
}

// answer returns whether the client left before the end of it.
func (b Behaviour) answer(w http.ResponseWriter, r *http.Request, read func([sha256.Size]byte, int64)) (gone bool) {
	body := sha256.New()
	// The server sees a client leave only once the body was read to its end. An upgrade has no body.
	if r.Header.Get("upgrade") == "" {
		var first bounded
		size, err := io.Copy(io.MultiWriter(body, &first), r.Body)
		if err != nil {
			return true
		}
		read([sha256.Size]byte(body.Sum(nil)), size)
		r.Body = io.NopCloser(&first.Buffer)
	}
	if b.delay > 0 {
		wait := time.NewTimer(b.delay)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
			return true
		}
	}
	for name, values := range b.header {
		w.Header()[name] = values
	}
	b.play(b, w, r)
	return r.Context().Err() != nil
}

// bounded keeps the first 64 KB of what is written to it.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), 64<<10-b.Len())])
	return len(p), nil
}

func reply(b Behaviour, w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(b.status)
	_, _ = io.WriteString(w, b.body) // fails when the client is gone, which answer finds out for itself
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// reset cuts off the answer and ends the handler; it does not return.
func reset(r *http.Request) {
	if r.ProtoMajor == 1 {
		socket, ok := r.Context().Value(connKey{}).(*net.TCPConn)
		if !ok {
			panic(fmt.Sprintf("upstream: a connection of type %T cannot be reset", r.Context().Value(connKey{})))
		}
		_ = socket.SetLinger(0) // what makes close send RST and not FIN
		_ = socket.Close()
	}
	panic(http.ErrAbortHandler) // how net/http is told to send RST_STREAM, or to forget the connection, and to log nothing
}
