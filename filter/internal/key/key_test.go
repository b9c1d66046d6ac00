package key

import (
	"testing"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/sharedstate"
)

// pairs is a request's headers in a test.
type pairs [][2]string

func (p pairs) All(yield func(name, value string) bool) {
	for _, h := range p {
		if !yield(h[0], h[1]) {
			return
		}
	}
}

func fingerprint(parts []policy.KeyPart, h pairs, ip string) sharedstate.Fingerprint {
	return NewHasher(parts, [2]uint64{1, 2}).Fingerprint(h, ip)
}

func TestWhichRequestsShareAKey(t *testing.T) {
	header := []policy.KeyPart{{Kind: policy.KeyHeader, Name: "x-api-key"}}
	query := []policy.KeyPart{{Kind: policy.KeyQuery, Name: "user"}}
	cookie := []policy.KeyPart{{Kind: policy.KeyCookie, Name: "sid"}}
	path := []policy.KeyPart{{Kind: policy.KeyPath}}
	both := []policy.KeyPart{{Kind: policy.KeyHeader, Name: "a"}, {Kind: policy.KeyHeader, Name: "b"}}
	for _, tc := range []struct {
		name  string
		parts []policy.KeyPart
		a, b  pairs
		same  bool
	}{
		{"header: another value", header, pairs{{"x-api-key", "1"}}, pairs{{"x-api-key", "2"}}, false},
		{"header: other headers do not matter", header, pairs{{"x-api-key", "1"}}, pairs{{"y", "z"}, {"x-api-key", "1"}}, true},
		{
			"header: two lines are one with a comma", header,
			pairs{{"x-api-key", "1"}, {"x-api-key", "2"}},
			pairs{{"x-api-key", "1, 2"}},
			true,
		},
		{"header: an empty one is not none", header, pairs{{"x-api-key", ""}}, nil, false},
		{"header: none and none", header, nil, pairs{{"y", "z"}}, true},
		{"parts do not run together", both, pairs{{"a", "xy"}, {"b", "z"}}, pairs{{"a", "x"}, {"b", "yz"}}, false},
		{"parts do not change places", both, pairs{{"a", "x"}}, pairs{{"b", "x"}}, false},
		{"query: its value", query, pairs{{":path", "/?user=a"}}, pairs{{":path", "/?user=b"}}, false},
		{"query: path and order do not matter", query, pairs{{":path", "/?user=a&x=1"}}, pairs{{":path", "/y?x=2&user=a"}}, true},
		{"query: spelling does not matter", query, pairs{{":path", "/?user=a+b"}}, pairs{{":path", "/?%75ser=%61%20b"}}, true},
		{"query: the first counts", query, pairs{{":path", "/?user=a&user=b"}}, pairs{{":path", "/?user=a"}}, true},
		{"query: a name that only begins alike", query, pairs{{":path", "/?users=a"}}, pairs{{":path", "/"}}, true},
		{"query: a fragment is none of it", query, pairs{{":path", "/?user=a#b"}}, pairs{{":path", "/?user=a"}}, true},
		{"cookie: its value", cookie, pairs{{"cookie", "sid=1"}}, pairs{{"cookie", "sid=2"}}, false},
		{
			"cookie: among others, and in several headers", cookie,
			pairs{{"cookie", "a=b; sid=1"}},
			pairs{{"cookie", "c=d"}, {"cookie", "sid=1; e=f"}},
			true,
		},
		{"path: without its query", path, pairs{{":path", "/a?x"}}, pairs{{":path", "/a"}}, true},
		{"path: spelling does not matter", path, pairs{{":path", "/%61"}}, pairs{{":path", "/a"}}, true},
		{"path: a broken escape stays", path, pairs{{":path", "/%6"}}, pairs{{":path", "/%zz"}}, false},
		{"path: case matters", path, pairs{{":path", "/A"}}, pairs{{":path", "/a"}}, false},
		{"method", []policy.KeyPart{{Kind: policy.KeyMethod}}, pairs{{":method", "GET"}}, pairs{{":method", "POST"}}, false},
	} {
		if got := fingerprint(tc.parts, tc.a, "") == fingerprint(tc.parts, tc.b, ""); got != tc.same {
			t.Errorf("%s: same key: got %v, want %v", tc.name, got, tc.same)
		}
	}
	ip := []policy.KeyPart{{Kind: policy.KeyClientIP}}
	one := fingerprint(ip, nil, "192.0.2.1")
	if other := fingerprint(ip, nil, "192.0.2.2"); other == one {
		t.Errorf("client_ip of two addresses: got %v twice, want different keys", one)
	}
	if got := fingerprint(ip, pairs{{"x-forwarded-for", "1.1.1.1"}}, "192.0.2.1"); got != one {
		t.Errorf("client_ip with x-forwarded-for: got %v, want %v, by Envoy's address alone", got, one)
	}
}

func FuzzFingerprint(f *testing.F) {
	f.Add("/a?user=%41&b", "sid=1; x=2", "v")
	f.Fuzz(func(t *testing.T, path, cookies, value string) {
		parts := []policy.KeyPart{
			{Kind: policy.KeyPath},
			{Kind: policy.KeyQuery, Name: "user"},
			{Kind: policy.KeyCookie, Name: "sid"},
			{Kind: policy.KeyHeader, Name: "x"},
			{Kind: policy.KeyMethod},
			{Kind: policy.KeyClientIP},
		}
		h := pairs{{":path", path}, {"cookie", cookies}, {"x", value}}
		if a, b := fingerprint(parts, h, value), fingerprint(parts, h, value); a != b || a == (sharedstate.Fingerprint{}) {
			t.Fatalf("got %v and %v for the same request, want equal and not zero", a, b)
		}
	})
}
