package cache

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/sharedstate"
)

func headersOf(e *Entry) (headers [][2]string) {
	for name, value := range e.Headers {
		headers = append(headers, [2]string{name, value})
	}
	return headers
}

func TestEntryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Meta{
			Key:          sharedstate.Fingerprint{Hi: rapid.Uint64().Draw(t, "hi"), Lo: rapid.Uint64().Draw(t, "lo")},
			Path:         rapid.Uint64().Draw(t, "path"),
			Stored:       rapid.Int64Min(0).Draw(t, "stored"),
			Status:       rapid.Uint16().Draw(t, "status"),
			Age:          rapid.Uint32().Draw(t, "age"),
			Lifetime:     rapid.Uint32().Draw(t, "lifetime"),
			StaleIfError: rapid.Uint32().Draw(t, "stale-if-error"),
		}
		var headers [][2]string
		for range rapid.IntRange(0, 5).Draw(t, "headers") {
			headers = append(headers, [2]string{rapid.String().Draw(t, "name"), rapid.String().Draw(t, "value")})
		}
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		before := rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "before")
		b, ok := AppendHead(bytes.Clone(before), &m, pairs(headers...))
		if !ok || !bytes.HasPrefix(b, before) {
			t.Fatalf("AppendHead(%x): got %x, %v, want a head behind it", before, b, ok)
		}
		b = append(b[len(before):], body...)
		if _, ok := Decode(b); ok {
			t.Fatal("Decode of an entry that is not sealed: got ok, want not")
		}
		if _, ok := seal(b); !ok {
			t.Fatalf("seal(%x): got not ok, want ok", b)
		}
		e, ok := Decode(b)
		if !ok || e.Meta != m || !bytes.Equal(e.Body, body) || cmp.Diff(headersOf(&e), headers) != "" {
			t.Fatalf("got %+v %q %q, want %+v %q %q", e.Meta, headersOf(&e), e.Body, m, headers, body)
		}
	})
}

// TestTornEntryIsRefused changes one byte of the head, or cuts the whole.
func TestTornEntryIsRefused(t *testing.T) {
	m := Meta{Key: keyOf(7), Stored: 5, Status: 200, Lifetime: None, StaleIfError: 60}
	whole, ok := AppendHead(nil, &m, pairs([2]string{"etag", `"x"`}, [2]string{"content-type", "text/plain"}))
	if !ok {
		t.Fatal("AppendHead: got not ok, want ok")
	}
	head := len(whole)
	whole = append(whole, "body"...)
	if _, ok := seal(whole); !ok {
		t.Fatal("seal: got not ok, want ok")
	}
	for n := range whole {
		if _, ok := Decode(whole[:n]); ok {
			t.Errorf("Decode of %d of %d bytes: got ok, want not", n, len(whole))
		}
	}
	if _, ok := Decode(append(bytes.Clone(whole), 0)); ok {
		t.Error("Decode of one byte too many: got ok, want not")
	}
	for i := range head {
		for bit := range 8 {
			torn := bytes.Clone(whole)
			torn[i] ^= 1 << bit
			if _, ok := Decode(torn); ok {
				t.Errorf("Decode with byte %d changed by %#x: got ok, want not", i, 1<<bit)
			}
		}
	}
}

// TestOtherHeadsAreRefused has heads that Put never writes, with the check that seal writes for them.
func TestOtherHeadsAreRefused(t *testing.T) {
	for name, change := range map[string]func(b []byte){
		"another version":           func(b []byte) { b[0]++ },
		"the second byte":           func(b []byte) { b[1] = 1 },
		"the reserved word":         func(b []byte) { b[60] = 1 },
		"a time before the clock's": func(b []byte) { b[47] = 0x80 },
		"a head that ends too soon": func(b []byte) { b[8]-- },
		"a name that is too long":   func(b []byte) { b[headFixed] = 200 },
		"a value that is too long":  func(b []byte) { b[headFixed+6] = 200 },
		"a name without a value":    func(b []byte) { b[headFixed] = 5 + 2 },
	} {
		b, ok := AppendHead(nil, &Meta{Key: keyOf(1)}, pairs([2]string{"etag", `"xyz"`}))
		if !ok {
			t.Fatal("AppendHead: got not ok, want ok")
		}
		change(b)
		if e, ok := seal(b); ok {
			t.Errorf("%s: got %+v %q, want not ok", name, e, headersOf(&e))
		}
	}
}

func TestHeadHasABound(t *testing.T) {
	for _, tc := range []struct {
		value int
		ok    bool
	}{
		{MaxHeadBytes - headFixed - 4 - 1, true},
		{MaxHeadBytes - headFixed - 4, false},
		{1 << 20, false},
	} {
		before := []byte("before")
		b, ok := AppendHead(before, &Meta{}, pairs([2]string{"n", strings.Repeat("v", tc.value)}))
		if ok != tc.ok || !ok && !bytes.Equal(b, before) {
			t.Errorf("a value of %d bytes: got ok %v, %d bytes, want %v", tc.value, ok, len(b), tc.ok)
		}
		if !ok {
			continue
		}
		if e, ok := seal(b[len(before):]); !ok || len(headersOf(&e)) != 1 {
			t.Errorf("a value of %d bytes: got %+v, want one header", tc.value, e)
		}
	}
}

func TestHeadersStopsWhereTheLoopDoes(t *testing.T) {
	b, _ := AppendHead(nil, &Meta{}, pairs([2]string{"a", "1"}, [2]string{"b", "2"}))
	e, ok := seal(b)
	if !ok {
		t.Fatal("seal: got not ok, want ok")
	}
	for name := range e.Headers {
		if name != "a" {
			t.Fatalf("got %q after a break, want no more headers", name)
		}
		break
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(bytes.Repeat([]byte{EntryVersion}, headFixed))
	f.Add(answer(1, 2, 3))
	b, _ := AppendHead(nil, &Meta{Key: keyOf(1), Stored: math.MaxInt64}, pairs([2]string{"a", ""}, [2]string{"", "b"}))
	f.Add(append(b, "body"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		kept := bytes.Clone(b)
		if e, ok := Decode(b); ok {
			again, fits := AppendHead(nil, &e.Meta, e.Headers)
			again = append(again, e.Body...)
			if _, sealed := seal(again); !fits || !sealed || !bytes.Equal(again, b) {
				t.Fatalf("packed again: got %x, want %x", again, b)
			}
		}
		if !bytes.Equal(kept, b) {
			t.Fatalf("after Decode: got %x, want %x unchanged", b, kept)
		}
		// The fuzzer seldom finds a valid check, seal writes one.
		b = kept // the fuzzer's own bytes are not to be changed
		e, ok := seal(b)
		if !ok {
			return
		}
		again, fits := AppendHead(nil, &e.Meta, e.Headers)
		again = append(again, e.Body...)
		if _, sealed := seal(again); !fits || !sealed || !bytes.Equal(again, b) {
			t.Fatalf("packed again: got %x, want %x", again, b)
		}
	})
}
