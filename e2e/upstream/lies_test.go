package upstream

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestPiecesAreReadOneByOne(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		u := New(t)
		u.Set(Pieces(10*time.Millisecond, "one", "\x00two", "three"))
		r, err := client(t, http2).Get(u.URL())
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil || string(text) != "one\x00twothree" || r.ContentLength != -1 {
			t.Errorf("HTTP/2 %t: got %q of length %d, %v, want all pieces and no length", http2, text, r.ContentLength, err)
		}
	}
}

func TestRawIsSentAsItStands(t *testing.T) {
	u := New(t)
	for _, c := range []struct {
		text, body string
		broken     bool
	}{
		{"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello world", "hello", false},
		{"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\nhello", "hello", true},
		{"HTTP/1.1 200 OK\r\n\r\nhello", "hello", false},
	} {
		u.Set(Raw(c.text))
		got := post(client(t, false), u.URL(), "payload")
		if got.status != 200 || got.body != c.body || (got.err != nil) != c.broken {
			t.Errorf("%q: got %d %q %v, want what was sent", c.text, got.status, got.body, got.err)
		}
	}
}

func TestShortIsTooShort(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		u := New(t)
		u.Set(Short(11, "hello"))
		got := post(client(t, http2), u.URL(), "payload")
		if got.status != 200 || got.err == nil || !strings.HasPrefix("hello", got.body) {
			t.Errorf("HTTP/2 %t: got %d %q %v, want an answer that breaks off", http2, got.status, got.body, got.err)
		}
		if !http2 && !errors.Is(got.err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v, want the end of the connection and no reset", got.err)
		}
	}
}

func TestFuncFindsTheBody(t *testing.T) {
	u := New(t)
	u.Set(Func(func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(w, r.Body); err != nil {
			t.Errorf("after %d bytes: got %v, want the end of the body", n, err)
		}
	}))
	for sent, want := range map[int]int{0: 0, 7: 7, 64 << 10: 64 << 10, 200_000: 64 << 10} {
		text := strings.Repeat("payload", sent/7+1)[:sent]
		if got := post(client(t, false), u.URL(), text); got.body != text[:want] {
			t.Errorf("%d bytes: got %d back, want %d", sent, len(got.body), want)
		}
	}
}
