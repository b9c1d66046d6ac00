package fallback

import (
	"bytes"
	"testing"
	"unsafe"
)

// aliased are headers with one whose value is in memory that changes later, as the host's does.
type aliased struct {
	pairs
	name  string
	value []byte
}

func (a aliased) All(yield func(name, value string) bool) {
	a.pairs.All(yield)
	yield(a.name, unsafe.String(unsafe.SliceData(a.value), len(a.value)))
}

func TestKeysThatAreOneAndKeysThatAreTwo(t *testing.T) {
	with := func(name, value string) pairs {
		p := get()
		for i := range p {
			if p[i][0] == name {
				p[i][1] = value
				return p
			}
		}
		return append(p, [2]string{name, value})
	}
	for _, tc := range []struct {
		name       string
		a, b       pairs
		keyA, keyB []string
		same       bool
	}{
		{name: "the same", a: get(), b: get(), same: true},
		{name: "GET and HEAD", a: get(), b: method("HEAD"), same: true},
		{name: "what is in no key", a: get(), b: with("user-agent", "x"), same: true},
		{name: "authority", a: get(), b: with(":authority", "other.example")},
		{name: "scheme", a: get(), b: with(":scheme", "https")},
		{name: "path", a: get(), b: with(":path", "/v2/prices?region=eu")},
		{name: "query", a: get(), b: with(":path", "/v1/prices?region=us")},
		{name: "no query and an empty one", a: with(":path", "/v1/prices"), b: with(":path", "/v1/prices?")},
		{name: "the query's order", a: with(":path", "/?a=1&b=2"), b: with(":path", "/?b=2&a=1")},
		{name: "case of the path", a: with(":path", "/A"), b: with(":path", "/a")},
		{name: "an encoded path", a: with(":path", "/%61"), b: with(":path", "/a")},
		{name: "authority and path run together", a: pairs{{":authority", "a"}, {":path", "b/c"}}, b: pairs{{":authority", "ab"}, {":path", "/c"}}},
		{name: "a host beside the authority", a: get(), b: with("host", "evil.example")},
		{name: "x-forwarded-host", a: get(), b: with("x-forwarded-host", "evil.example")},
		{name: "x_forwarded_host", a: get(), b: with("x_forwarded_host", "evil.example")},
		{name: "x_forwarded_host and x-forwarded-host", a: get("x_forwarded_host", "a"), b: get("x-forwarded-host", "a")},
		{name: "accept-language", a: get(), b: with("accept-language", "de")},
		{name: "a key header, spelled otherwise", a: with("x_team", "a"), b: with("x_team", "b"), keyA: []string{"x-team"}, keyB: []string{"x-team"}},
		{name: "two spellings that change places", a: get("x-team", "a", "x_team", "b"), b: get("x_team", "b", "x-team", "a"), keyA: []string{"x-team"}, keyB: []string{"x-team"}},
		{name: "x-forwarded-proto", a: get(), b: with("x-forwarded-proto", "https")},
		{name: "x-forwarded-prefix", a: get(), b: with("x-forwarded-prefix", "/evil")},
		{name: "x-envoy-original-path", a: get(), b: with("x-envoy-original-path", "/a")},
		{name: "a key header", a: with("x-team", "a"), b: with("x-team", "b"), keyA: []string{"x-team"}, keyB: []string{"x-team"}},
		{name: "a key header: none and empty", a: get(), b: with("x-team", ""), keyA: []string{"x-team"}, keyB: []string{"x-team"}},
		{name: "a key header: two values and one with a comma", a: get("x-team", "a", "x-team", "b"), b: get("x-team", "a,b"), keyA: []string{"x-team"}, keyB: []string{"x-team"}},
		{name: "a key header: two values and their order", a: get("x-team", "a", "x-team", "b"), b: get("x-team", "b", "x-team", "a"), keyA: []string{"x-team"}, keyB: []string{"x-team"}},
		{name: "key headers that change places", a: get("x-a", "1", "x-b", "2"), b: get("x-b", "1", "x-a", "2"), keyA: []string{"x-a", "x-b"}, keyB: []string{"x-a", "x-b"}},
		{name: "headers in another order", a: get("x-a", "1", "x-b", "2"), b: get("x-b", "2", "x-a", "1"), keyA: []string{"x-a", "x-b"}, keyB: []string{"x-a", "x-b"}, same: true},
		{name: "the list in another order, and twice", a: get("x-a", "1", "x-b", "2"), b: get("x-a", "1", "x-b", "2"), keyA: []string{"x-a", "x-b"}, keyB: []string{"x-b", "x-a", "x-b"}, same: true},
		{name: "another list, and no such header", a: get(), b: get(), keyA: []string{"x-a"}, keyB: nil},
		{name: "another list, the same values", a: get("x-a", "1"), b: get("x-b", "1"), keyA: []string{"x-a"}, keyB: []string{"x-b"}},
		{name: "a list with one more", a: get("x-a", "1"), b: get("x-a", "1"), keyA: []string{"x-a"}, keyB: []string{"x-a", "x-b"}},
		{name: "two empty values and one like a mark", a: get("x-a", "", "x-a", ""), b: get("x-a", "v"), keyA: []string{"x-a"}, keyB: []string{"x-a"}},
		{name: "a name that goes on in its value", a: get("x-a", "bvc"), b: get("x-avb", "c"), keyA: []string{"x-a", "x-avb"}, keyB: []string{"x-a", "x-avb"}},
		{name: "lists that run together", a: get(), b: get(), keyA: []string{"x-acx-b"}, keyB: []string{"x-a", "x-b"}},
		{name: "a value that looks like a part", a: get("x-a", "1v\x01\x00\x00\x002"), b: get("x-a", "1", "x-a", "2"), keyA: []string{"x-a"}, keyB: []string{"x-a"}},
	} {
		a := keyBytes(rules(tc.keyA...), tc.a)
		b := keyBytes(rules(tc.keyB...), tc.b)
		if got := bytes.Equal(a, b); got != tc.same {
			t.Errorf("%s: got same key %v, want %v\n%q\n%q", tc.name, got, tc.same, a, b)
		}
	}
}

// keyBytes is the key of a request.
func keyBytes(r *CacheRules, h Headers) []byte {
	r.Request(h, true)
	return r.AppendKey(nil)
}

func TestAKeyIsAppendedAndHoldsNothing(t *testing.T) {
	r := rules("x-team")
	value := []byte("red")
	r.Request(aliased{get(), "x-team", value}, true)
	key := r.AppendKey([]byte("before"))
	if !bytes.HasPrefix(key, []byte("before")) {
		t.Errorf("got %q, want the bytes before the key kept", key)
	}
	copy(value, "xxx")
	if !bytes.Contains(key, []byte("red")) {
		t.Errorf("got %q, want a copy of the value", key)
	}
	for _, p := range r.parts[:cap(r.parts)] {
		if p != (part{}) {
			t.Errorf("the rules still refer to %q, want nothing", p)
		}
	}
	if again := keyBytes(r, get()); !bytes.Equal(again, keyBytes(rules("x-team"), get())) {
		t.Errorf("got %q, want no parts of the key before", again)
	}
}
