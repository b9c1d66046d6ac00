package fallback

import (
	"strings"
	"testing"
)

// FuzzCacheControl reads any bytes as a cache-control. If a simple cache that splits it at
// its commas finds a directive that forbids storing, this one must not store: without quotes both parsers must agree.
func FuzzCacheControl(f *testing.F) {
	for _, s := range []string{
		"", "public, max-age=60", `private="set-cookie, etag"`, ` No-Store ,,`, `ext="\", private`, "max-age = 5", "s-maxage=5,max-age=x", "a;b", "private\x00",
		`ext="a\`, "no-cache=", "=private", "stale-if-error=99999999999999999999",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for s := value; ; {
			d, rest, ok := nextDirective(s)
			if !ok || d.name == "" {
				break
			}
			if len(rest) >= len(s) || tokenLength(d.name) != len(d.name) {
				t.Fatalf("nextDirective(%q) = %q, rest %q, want a shorter rest", s, d, rest)
			}
			s = rest
		}
		a, why := rules().Answer(answer("cache-control", value), 200, noon, 0)
		if why == NoObstacle && (a.Age != 0 || a.Lifetime > maxSeconds && a.Lifetime != NoSeconds || a.StaleIfError > maxSeconds && a.StaleIfError != NoSeconds) {
			t.Fatalf("%q: got %+v, want it within its bounds", value, a)
		}
		if why == NoObstacle && !strings.Contains(value, `"`) {
			for _, member := range strings.Split(strings.ToLower(value), ",") {
				name, _, _ := strings.Cut(member, "=")
				switch strings.TrimSpace(name) {
				case "private", "no-store", "no-cache", "must-revalidate", "proxy-revalidate":
					t.Fatalf("%q: got stored, want not stored", value)
				}
			}
		}
		if q := rules().Request(get("cache-control", value), true); !q.Lookup {
			t.Fatalf("%q: got no Lookup, want it", value)
		}
	})
}

// FuzzAcceptEncoding reads any bytes as an accept-encoding.
func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"", "gzip, br;q=0.5", "*;q=0", "identity;q=0, *;q=0.001", "gzip;q", "gzip;;q=1", ",;,", "x-gzip;q=1.0001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		q := rules().Request(get("accept-encoding", value), true)
		lower := strings.ToLower(value)
		for _, c := range codingNames {
			// Neither named nor included by *: it is not accepted, save Identity.
			if c.coding != Identity && q.Codings&c.coding != 0 && !strings.Contains(lower, "*") &&
				!strings.Contains(lower, c.name) && !strings.Contains(lower, strings.TrimPrefix(c.name, "x-")) {
				t.Fatalf("%q: got %s accepted, want refused", value, c.name)
			}
		}
		if q.Codings&Identity == 0 && !strings.Contains(lower, "q=0") {
			t.Fatalf("%q: got identity refused, want accepted", value)
		}
		if q.Codings > allCodings || len(q.Variants()) == 0 && q.Codings != 0 {
			t.Fatalf("%q: got codings %06b, variants %v, want known codings, and variants if there are any", value, q.Codings, q.Variants())
		}
		with := rules().Request(get("accept-encoding", value, "accept-encoding", "identity;q=0, gzip;q=0"), true)
		if with.Codings&(Identity|Gzip) != 0 {
			t.Fatalf("%q: got %06b with a refused coding accepted, want it refused", value, with.Codings)
		}
	})
}

// FuzzETags reads any bytes as an if-none-match and as an etag.
func FuzzETags(f *testing.F) {
	for _, s := range [][2]string{{`"a"`, `W/"a"`}, {`*`, `"a"`}, {`"a,b", "c`, `"c"`}, {`W/`, `W/`}, {`"`, `"`}, {``, ``}, {"\"a\" \"b\"", `"b"`}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, ifNoneMatch, etag string) {
		if NotModified(ifNoneMatch, etag) && trim(ifNoneMatch) != "*" {
			// Then both contain the tag with its quotes.
			opaque := strings.TrimPrefix(trim(etag), "W/")
			if len(opaque) < 2 || opaque[0] != '"' || opaque[len(opaque)-1] != '"' || !strings.Contains(ifNoneMatch, opaque) {
				t.Fatalf("NotModified(%q, %q) = true, want false", ifNoneMatch, etag)
			}
		}
		if tag, rest, ok := nextETag(etag); ok && rest == "" {
			if !NotModified(etag, etag) || !NotModified(`"another one", W/"`+tag+`"`, etag) || strings.Contains(tag, `"`) {
				t.Fatalf("NotModified(%q) of itself = false, want true", etag)
			}
		}
	})
}

// FuzzAnswer reads any bytes as the headers of an answer: "name: value" lines.
func FuzzAnswer(f *testing.F) {
	f.Add("date: " + atNoon + "\nexpires: " + afterNoon + "\nage: 7\nvary: accept-encoding, \"\ncontent-length: 12")
	f.Add("content-encoding: gzip\ncontent-encoding: \nconnection: close,,x\ntransfer-encoding: chunked\nvary: *")
	f.Add("content-type: application/grpc\nset-cookie: a=b\n-: \n: ")
	f.Fuzz(func(t *testing.T, text string) {
		var h pairs
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
			h = append(h, [2]string{strings.ToLower(name), value})
		}
		r := rules()
		a, why := r.Answer(h, 200, noon, 1e9)
		if why != NoObstacle {
			if a != (Answer{}) {
				t.Fatalf("%q: got %+v for an answer that is not stored, want none", text, a)
			}
			return
		}
		if a.Age < 1 || a.Age > 3600 || a.Coding == 0 || a.Coding&(a.Coding-1) != 0 || a.Length < -1 {
			t.Fatalf("%q: got %+v, want it within its bounds", text, a)
		}
		for _, p := range h {
			if p[0] == "set-cookie" || p[0] == "content-range" {
				t.Fatalf("%q: got stored, want not stored", text)
			}
		}
	})
}
