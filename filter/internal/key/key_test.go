package key

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/header"
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

// relation is how the keys of two requests compare.
type relation uint8

const (
	differ relation = iota
	equal
	bothAmbiguous
	secondAmbiguous
)

func (r relation) String() string {
	return [...]string{"different keys", "the same key", "both ambiguous", "the second one ambiguous"}[r]
}

func relate(parts []policy.KeyPart, a, b pairs) relation {
	h := NewHasher(parts, [2]uint64{1, 2})
	first, second := h.Fingerprint(a, ""), h.Fingerprint(b, "")
	switch {
	case second == h.ambiguous && first == h.ambiguous:
		return bothAmbiguous
	case second == h.ambiguous:
		return secondAmbiguous
	case first == second:
		return equal
	default:
		return differ
	}
}

func TestWhichRequestsShareAKey(t *testing.T) {
	apiKey := []policy.KeyPart{{Kind: policy.KeyHeader, Name: "x-api-key"}}
	agent := []policy.KeyPart{{Kind: policy.KeyHeader, Name: "user-agent"}}
	authorization := []policy.KeyPart{{Kind: policy.KeyHeader, Name: "authorization"}}
	query := []policy.KeyPart{{Kind: policy.KeyQuery, Name: "user"}}
	cookie := []policy.KeyPart{{Kind: policy.KeyCookie, Name: "sid"}}
	path := []policy.KeyPart{{Kind: policy.KeyPath}}
	both := []policy.KeyPart{{Kind: policy.KeyHeader, Name: "a"}, {Kind: policy.KeyHeader, Name: "b"}}
	for _, tc := range []struct {
		name  string
		parts []policy.KeyPart
		a, b  pairs
		want  relation
	}{
		{"header: another value", apiKey, pairs{{"x-api-key", "1"}}, pairs{{"x-api-key", "2"}}, differ},
		{
			"header: other headers do not matter", apiKey,
			pairs{{"x-api-key", "1"}},
			pairs{{"y", "z"}, {"x-api-key", "1"}},
			equal,
		},
		{
			"header: spaces around a value do not matter", apiKey,
			pairs{{"x-api-key", "1"}},
			pairs{{"x-api-key", " 1\t"}},
			equal,
		},
		{
			"header: two lines are one with a comma", apiKey,
			pairs{{"x-api-key", "1"}, {"x-api-key", "2"}},
			pairs{{"x-api-key", "1, 2"}},
			bothAmbiguous,
		},
		{
			"header: two lines of one value", apiKey,
			pairs{{"x-api-key", "1"}},
			pairs{{"x-api-key", "1"}, {"x-api-key", "1"}},
			secondAmbiguous,
		},
		{
			"header: a second line that is empty", apiKey,
			pairs{{"x-api-key", "1"}},
			pairs{{"x-api-key", "1"}, {"x-api-key", ""}},
			secondAmbiguous,
		},
		{"header: an empty one is not none", apiKey, pairs{{"x-api-key", ""}}, nil, differ},
		{"header: none and none", apiKey, nil, pairs{{"y", "z"}}, equal},
		{"header: a name that only begins alike", apiKey, pairs{{"x-api-keys", "1"}}, nil, equal},
		{
			"header: user-agent is no list", agent,
			pairs{{"user-agent", "A (B, C)"}},
			pairs{{"user-agent", "A (B, D)"}},
			differ,
		},
		{
			"header: user-agent twice", agent,
			pairs{{"user-agent", "A"}},
			pairs{{"user-agent", "A"}, {"user-agent", "B"}},
			secondAmbiguous,
		},
		{
			"header: a scheme in any case", authorization,
			pairs{{"authorization", "Bearer K"}},
			pairs{{"authorization", "bEARER \t K"}},
			equal,
		},
		{
			"header: credentials have a case", authorization,
			pairs{{"authorization", "Bearer K"}},
			pairs{{"authorization", "Bearer k"}},
			differ,
		},
		{
			"header: a scheme is no credential", authorization,
			pairs{{"authorization", "BearerK"}},
			pairs{{"authorization", "Bearer K"}},
			differ,
		},
		{"parts do not run together", both, pairs{{"a", "xy"}, {"b", "z"}}, pairs{{"a", "x"}, {"b", "yz"}}, differ},
		{"parts do not change places", both, pairs{{"a", "x"}}, pairs{{"b", "x"}}, differ},
		{
			"one ambiguous part is enough", both,
			pairs{{"a", "1"}, {"a", "2"}, {"b", "1"}},
			pairs{{"a", "3"}, {"b", "4"}, {"b", "5"}},
			bothAmbiguous,
		},
		{"query: its value", query, pairs{{":path", "/?user=a"}}, pairs{{":path", "/?user=b"}}, differ},
		{
			"query: path and order do not matter", query,
			pairs{{":path", "/?user=a&x=1"}},
			pairs{{":path", "/y?x=2&user=a"}},
			equal,
		},
		{
			"query: spelling does not matter", query,
			pairs{{":path", "/?user=a+b"}},
			pairs{{":path", "/?%75ser=%61%20b"}},
			equal,
		},
		{
			"query: a plus as form data or as a URI", query,
			pairs{{":path", "/?user=a+b"}},
			pairs{{":path", "/?user=a%2bb"}},
			equal,
		},
		{"query: an empty one is not none", query, pairs{{":path", "/?user="}}, pairs{{":path", "/"}}, differ},
		{"query: a name that only begins alike", query, pairs{{":path", "/?users=a"}}, pairs{{":path", "/"}}, equal},
		{"query: a name that only ends alike", query, pairs{{":path", "/?auser=a"}}, pairs{{":path", "/"}}, equal},
		{"query: a fragment is none of it", query, pairs{{":path", "/?user=a#b"}}, pairs{{":path", "/?user=a"}}, equal},
		{"query: a semicolon elsewhere", query, pairs{{":path", "/?x=1;2&user=a"}}, pairs{{":path", "/?user=a"}}, equal},
		{"cookie: its value", cookie, pairs{{"cookie", "sid=1"}}, pairs{{"cookie", "sid=2"}}, differ},
		{
			"cookie: among others, and in several headers", cookie,
			pairs{{"cookie", "a=b; sid=1"}},
			pairs{{"cookie", "c=d"}, {"cookie", "sid=1; e=f"}},
			equal,
		},
		{
			"cookie: quotes and spaces around a value", cookie,
			pairs{{"cookie", "sid=1"}},
			pairs{{"cookie", `a=b;  sid= "1" ;c=d`}},
			equal,
		},
		{
			"cookie: a value that some decode", cookie,
			pairs{{"cookie", "sid=a/+1"}},
			pairs{{"cookie", "sid=%61%2f%2b1"}},
			equal,
		},
		{"cookie: an empty one is not none", cookie, pairs{{"cookie", "sid="}}, nil, differ},
		{"cookie: a comma elsewhere", cookie, pairs{{"cookie", "sid=1"}}, pairs{{"cookie", "x=1,2; sid=1"}}, equal},
		{"cookie: a name that only begins alike", cookie, pairs{{"cookie", "sid2=1"}}, nil, equal},
		{"path: without its query", path, pairs{{":path", "/a?x"}}, pairs{{":path", "/a"}}, equal},
		{"path: spelling does not matter", path, pairs{{":path", "/%61"}}, pairs{{":path", "/a"}}, equal},
		{"path: a broken escape stays", path, pairs{{":path", "/%6"}}, pairs{{":path", "/%zz"}}, differ},
		{"path: a plus is one", path, pairs{{":path", "/a+b"}}, pairs{{":path", "/a%20b"}}, differ},
		{"path: case matters", path, pairs{{":path", "/A"}}, pairs{{":path", "/a"}}, differ},
		{"method", []policy.KeyPart{{Kind: policy.KeyMethod}}, pairs{{":method", "GET"}}, pairs{{":method", "POST"}}, differ},
	} {
		if got := relate(tc.parts, tc.a, tc.b); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
}

// TestAmbiguousParts: whichever of the values upstream takes, the request's key does not depend on a junk value.
func TestAmbiguousParts(t *testing.T) {
	apiKey := []policy.KeyPart{{Kind: policy.KeyHeader, Name: "x-api-key"}}
	underscored := []policy.KeyPart{{Kind: policy.KeyHeader, Name: "x_api_key"}}
	query := []policy.KeyPart{{Kind: policy.KeyQuery, Name: "api_key"}}
	foreign := []policy.KeyPart{{Kind: policy.KeyQuery, Name: "ключ"}}
	cookie := []policy.KeyPart{{Kind: policy.KeyCookie, Name: "sid"}}
	for _, tc := range []struct {
		name  string
		parts []policy.KeyPart
		ask   pairs
	}{
		{"header: two lines", apiKey, pairs{{"x-api-key", "K"}, {"y", "z"}, {"x-api-key", "junk"}}},
		{"header: one line of several values", apiKey, pairs{{"x-api-key", "K, junk"}}},
		{"header: an empty value in a list", apiKey, pairs{{"x-api-key", ",K"}}},
		{"header: _ beside -", apiKey, pairs{{"x_api_key", "K"}, {"x-api-key", "junk"}}},
		{"header: _ alone", apiKey, pairs{{"x_api-key", "K"}}},
		{"header: - where the key has _", underscored, pairs{{"x-api-key", "K"}, {"x_api_key", "junk"}}},
		{"header: another character that CGI replaces", apiKey, pairs{{"x.api-key", "K"}, {"x-api-key", "junk"}}},
		{"query: twice", query, pairs{{":path", "/?api_key=K&api_key=junk"}}},
		{"query: twice, one encoded", query, pairs{{":path", "/?%61pi_key=K&api_key=junk"}}},
		{"query: twice, one without a value", query, pairs{{":path", "/?api_key&api_key=K"}}},
		{"query: a semicolon before", query, pairs{{":path", "/?x=1;api_key=K&api_key=junk"}}},
		{"query: a semicolon before, alone", query, pairs{{":path", "/?x=1;api_key=K"}}},
		{"query: a semicolon after", query, pairs{{":path", "/?api_key=K;junk"}}},
		{"query: &amp;", query, pairs{{":path", "/?x=1&amp;api_key=K"}}},
		{"query: brackets", query, pairs{{":path", "/?api_key[]=K"}}},
		{"query: brackets with an index", query, pairs{{":path", "/?api_key=junk&api_key%5B0%5D=K"}}},
		{"query: brackets around", query, pairs{{":path", "/?api_key=junk&[api_key]=K"}}},
		{"query: a dot, as PHP reads it", query, pairs{{":path", "/?api_key=junk&api.key=K"}}},
		{"query: a bracket, as PHP reads it", query, pairs{{":path", "/?api_key=junk&api[key=K"}}},
		{"query: a space, as PHP reads it", query, pairs{{":path", "/?api_key=junk&+api%20key=K"}}},
		{"query: a NUL", query, pairs{{":path", "/?api_key=junk&api_key%00x=K"}}},
		{"query: another case, as ASP.NET reads it", query, pairs{{":path", "/?API_KEY=K&api_key=junk"}}},
		{"query: not ASCII, brackets", foreign, pairs{{":path", "/?ключ=junk&%D0%BA%D0%BB%D1%8E%D1%87[]=K"}}},
		{"cookie: twice in a header", cookie, pairs{{"cookie", "sid=K; sid=junk"}}},
		{"cookie: twice in two headers", cookie, pairs{{"cookie", "sid=K"}, {"cookie", "a=b; sid=junk"}}},
		{"cookie: a comma between", cookie, pairs{{"cookie", "a=b, sid=K; sid=junk"}}},
		{"cookie: a comma after", cookie, pairs{{"cookie", "sid=K,junk"}}},
		{"cookie: an encoded name", cookie, pairs{{"cookie", "%73id=K; sid=junk"}}},
		{"cookie: a space behind the name", cookie, pairs{{"cookie", "sid =K; sid=junk"}}},
		{"cookie: a no-break space before the name", cookie, pairs{{"cookie", "\u00a0sid=K; sid=junk"}}},
		{"cookie: no name", cookie, pairs{{"cookie", "=sid=K; sid=junk"}}},
		{"cookie: no name, alone", cookie, pairs{{"cookie", "=sid=K"}}},
		{"cookie: no equals sign", cookie, pairs{{"cookie", "sid"}}},
		{"cookie: brackets", cookie, pairs{{"cookie", "sid=junk; sid[]=K"}}},
		{"cookie: half a quotation", cookie, pairs{{"cookie", `sid="K`}}},
		{"cookie: a quoted escape", cookie, pairs{{"cookie", `sid="\113"`}}},
	} {
		if got := relate(tc.parts, pairs{{tc.parts[0].Name, "1"}}, tc.ask); got != secondAmbiguous {
			t.Errorf("%s: %q: got %s, want %s", tc.name, tc.ask, got, secondAmbiguous)
		}
	}
}

// TestOtherNames: names that only resemble the part's stay other names.
func TestOtherNames(t *testing.T) {
	for _, tc := range []struct{ name, want string }{
		{"", "user"},
		{"[", "user"},
		{"use", "user"},
		{"users", "user"},
		{"user.id", "user"},
		{"x[user]", "user"},
		{"us-er", "user"},
		{"имяx", "имя"},
		{"имя2", "имя"},
		{"имени", "имя"},
		{"名前", "名"},
		{"é", "e"},
	} {
		if alike(tc.name, tc.want) {
			t.Errorf("alike(%q, %q) = true, want false", tc.name, tc.want)
		}
	}
}

func TestClientIP(t *testing.T) {
	whole := policy.KeyPart{Kind: policy.KeyClientIP}
	part := func(ipv4, ipv6 uint8) policy.KeyPart {
		return policy.KeyPart{Kind: policy.KeyClientIP, IPv4Prefix: ipv4, IPv6Prefix: ipv6}
	}
	for _, tc := range []struct {
		part policy.KeyPart
		a, b string
		same bool
	}{
		{whole, "192.0.2.1", "192.0.2.2", false},
		{whole, "2001:db8::1", "2001:db8::2", false},
		{part(32, 64), "192.0.2.1", "192.0.2.2", false},
		{part(32, 64), "2001:db8::1", "2001:db8::ffff:0:0:2", true},
		{part(32, 64), "2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{part(32, 128), "2001:db8::1", "2001:db8::2", false},
		{part(24, 64), "192.0.2.1", "192.0.2.254", true},
		{part(24, 64), "192.0.2.1", "192.0.3.1", false},
		{part(23, 64), "192.0.2.1", "192.0.3.1", true},
		{part(1, 64), "127.0.0.1", "1.1.1.1", true},
		{part(1, 64), "127.0.0.1", "128.0.0.1", false},
		{part(32, 61), "2001:db8:0:7::", "2001:db8::", true},
		{part(32, 61), "2001:db8:0:8::", "2001:db8::", false},
		{part(32, 1), "::1", "7fff::", true},
		{part(24, 64), "::ffff:192.0.2.1", "192.0.2.2", true},
		{part(32, 64), "::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{part(32, 64), "::192.0.2.1", "192.0.2.1", false},
		{part(32, 128), "fe80::1%eth0", "fe80::1%eth1", true},
		{part(32, 64), "/tmp/a.sock", "/tmp/b.sock", false},
		{part(32, 64), "", "0.0.0.0", false},
		{part(32, 64), "", "", true},
	} {
		h := NewHasher([]policy.KeyPart{tc.part}, [2]uint64{1, 2})
		forwarded := pairs{{"x-forwarded-for", "198.51.100.1"}} // says nothing
		if got := h.Fingerprint(pairs{}, tc.a) == h.Fingerprint(forwarded, tc.b); got != tc.same {
			t.Errorf("%s: %q and %q: same key: got %v, want %v", tc.part, tc.a, tc.b, got, tc.same)
		}
	}
}

// TestAmbiguousIsOneKey: the fingerprint belongs to the limit's seed, and no part of any kind has it.
func TestAmbiguousIsOneKey(t *testing.T) {
	twice := pairs{{"a", "1"}, {"a", "2"}}
	parts := []policy.KeyPart{{Kind: policy.KeyHeader, Name: "a"}}
	one, other := NewHasher(parts, [2]uint64{1, 2}), NewHasher(parts, [2]uint64{3, 4})
	if one.Fingerprint(twice, "") == other.Fingerprint(twice, "") {
		t.Error("got one fingerprint under two seeds, want two: nobody may choose a set of the key table")
	}
	if got := one.Fingerprint(pairs{{"a", "\x02"}}, ""); got == one.ambiguous {
		t.Errorf("a value like the mark: got the ambiguous fingerprint %v, want another", got)
	}
}

func TestFingerprintDoesNotAllocate(t *testing.T) {
	h := NewHasher([]policy.KeyPart{
		{Kind: policy.KeyHeader, Name: "x"},
		{Kind: policy.KeyQuery, Name: "user"},
		{Kind: policy.KeyCookie, Name: "sid"},
		{Kind: policy.KeyPath},
		{Kind: policy.KeyMethod},
		{Kind: policy.KeyClientIP, IPv4Prefix: 24, IPv6Prefix: 64},
	}, [2]uint64{1, 2})
	var request header.Headers = pairs{
		{":method", "GET"}, {":path", "/%61?user=%41&b"}, {"cookie", "a=b; sid=1"}, {"x", "y"},
	}
	h.Fingerprint(request, "2001:db8::1") // grows the buffer
	if got := testing.AllocsPerRun(100, func() { h.Fingerprint(request, "2001:db8::1") }); got != 0 {
		t.Errorf("got %v allocations for a request, want 0", got)
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

// FuzzGoReadsTheSame: net/url and net/http read the value that Weir counts by, or the request is ambiguous.
func FuzzGoReadsTheSame(f *testing.F) {
	f.Add("user=K&x=1", "sid=K; x=1")
	f.Add("%75ser=%4B+k", `a=b; sid="K"`)
	f.Add("user=K;x=1&=user=K", "sid=%4B, =sid=1")
	f.Fuzz(func(t *testing.T, query, cookies string) {
		byQuery := NewHasher([]policy.KeyPart{{Kind: policy.KeyQuery, Name: "user"}}, [2]uint64{1, 2})
		values, err := url.ParseQuery(query)
		if err == nil && !strings.Contains(query, "#") && values.Has("user") {
			want := byQuery.Fingerprint(pairs{{":path", "/?user=" + url.QueryEscape(values.Get("user"))}}, "")
			if got := byQuery.Fingerprint(pairs{{":path", "/?" + query}}, ""); got != want && got != byQuery.ambiguous {
				t.Errorf("query %q: got %v, want %v as for %q, or ambiguous", query, got, want, values["user"])
			}
		}
		byCookie := NewHasher([]policy.KeyPart{{Kind: policy.KeyCookie, Name: "sid"}}, [2]uint64{1, 2})
		r := http.Request{Header: http.Header{"Cookie": {cookies}}}
		control := strings.ContainsFunc(cookies, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
		if c, err := r.Cookie("sid"); err == nil && !control { // Envoy refuses those
			want := byCookie.Fingerprint(pairs{{"cookie", "sid=" + c.Value}}, "")
			if got := byCookie.Fingerprint(pairs{{"cookie", cookies}}, ""); got != want && got != byCookie.ambiguous {
				t.Errorf("cookie %q: got %v, want %v as for %q, or ambiguous", cookies, got, want, c.Value)
			}
		}
	})
}
