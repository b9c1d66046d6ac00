package fallback

import (
	"math"
	"strings"
	"testing"
	"time"
)

// noon is when the tests' answers arrive: Sun, 06 Nov 1994 12:00:00 GMT.
var noon = time.Date(1994, 11, 6, 12, 0, 0, 0, time.UTC).Unix()

const (
	atNoon     = "Sun, 06 Nov 1994 12:00:00 GMT"
	beforeNoon = "Sun, 06 Nov 1994 11:59:50 GMT" // by 10 s
	afterNoon  = "Sun, 06 Nov 1994 12:01:00 GMT" // by a minute
)

// answer is a 200 as Envoy passes it on, with more headers.
func answer(more ...string) pairs {
	p := pairs{
		{":status", "200"},
		{"content-type", "application/json"},
		{"server", "nginx"},
		{"x-envoy-upstream-service-time", "2"},
	}
	for i := 0; i < len(more); i += 2 {
		p = append(p, [2]string{more[i], more[i+1]})
	}
	return p
}

func TestAnswersThatAreStored(t *testing.T) {
	for _, tc := range []struct {
		name    string
		status  int
		headers pairs
		keyed   []string
		want    bool
	}{
		{"200", 200, answer(), nil, true},
		{"203", 203, answer(), nil, true},
		{"204", 204, answer(), nil, true},
		{"201, which says nothing", 201, answer(), nil, false},
		{"201 that may be stored", 201, answer("cache-control", "public"), nil, true},
		{"202 with a lifetime", 202, answer("cache-control", "max-age=60"), nil, true},
		{"202 that must be understood", 202, answer("cache-control", "max-age=60, must-understand"), nil, false},
		{"200 that must be understood", 200, answer("cache-control", "max-age=60, must-understand"), nil, true},
		{"206", 206, answer(), nil, false},
		{"206 that claims to be public", 206, answer("cache-control", "public, max-age=60"), nil, false},
		{"226", 226, answer("cache-control", "public"), nil, false},
		{"0", 0, answer(), nil, false},
		{"103", 103, answer(), nil, false},
		{"301", 301, answer("cache-control", "max-age=60"), nil, false},
		{"304", 304, answer(), nil, false},
		{"404", 404, answer("cache-control", "max-age=60"), nil, false},
		{"500", 500, answer(), nil, false},

		{"public", 200, answer("cache-control", "public, max-age=60, stale-while-revalidate=30, immutable, no-transform"), nil, true},
		{"unknown directives", 200, answer("cache-control", `foo, bar=1, baz="a, b"`), nil, true},
		{"empty members", 200, answer("cache-control", " ,, max-age=60 ,"), nil, true},
		{"an empty one", 200, answer("cache-control", ""), nil, true},
		{"members without a comma", 200, answer("cache-control", "public immutable"), nil, false},
		{"something behind the quotes", 200, answer("cache-control", `ext="a"b`), nil, false},
		{"a control character", 200, answer("cache-control", "ext=\"a\x01\""), nil, false},
		{"a word inside quotes is none", 200, answer("cache-control", `ext="a, private, \", no-store"`), nil, true},
		{"a word that only begins alike", 200, answer("cache-control", "privately, no-storex"), nil, true},

		{"set-cookie", 200, answer("set-cookie", "a=b"), nil, false},
		{"set-cookie, and cookie is keyed", 200, answer("set-cookie", "a=b"), []string{"cookie", "set-cookie"}, false},
		{"set-cookie2", 200, answer("set-cookie2", "a=b"), nil, false},
		{"pragma", 200, answer("pragma", "No-Cache"), nil, false},
		{"pragma beside cache-control", 200, answer("pragma", "no-cache", "cache-control", "max-age=60"), nil, true},
		{"pragma beside cache-control, the other way round", 200, answer("cache-control", "max-age=60", "pragma", "no-cache"), nil, true},
		{"pragma that says something else", 200, answer("pragma", "public"), nil, true},
		{"cdn-cache-control: private", 200, answer("cdn-cache-control", "private"), nil, false},
		{"surrogate-control: no-store", 200, answer("surrogate-control", `no-store, content="ESI/1.0"`), nil, false},
		{"cdn-cache-control: max-age", 200, answer("cdn-cache-control", "max-age=60"), nil, true},

		{"vary: accept-encoding", 200, answer("vary", "Accept-Encoding"), nil, true},
		{"vary: nothing", 200, answer("vary", " , "), nil, true},
		{"vary: *", 200, answer("vary", "*"), nil, false},
		{"vary: *, among others", 200, answer("vary", "accept-encoding, *"), nil, false},
		{"vary: origin", 200, answer("vary", "origin"), nil, false},
		{"vary: Origin in the key", 200, answer("vary", "Origin"), []string{"origin"}, true},
		{"vary: cookie", 200, answer("vary", "accept-encoding,cookie"), nil, false},
		{"vary in a second header", 200, answer("vary", "accept-encoding", "vary", "user-agent"), nil, false},
		{"vary: what is in every key", 200, answer("vary", "X-Forwarded-Proto"), nil, true},
		{"vary: no list", 200, answer("vary", "accept-encoding origin"), nil, false},

		{"gzip", 200, answer("content-encoding", "gzip"), nil, true},
		{"GZIP", 200, answer("content-encoding", " GZIP "), nil, true},
		{"zstd", 200, answer("content-encoding", "zstd"), nil, true},
		{"identity", 200, answer("content-encoding", "identity"), nil, true},
		{"gzip twice", 200, answer("content-encoding", "gzip, gzip"), nil, false},
		{"gzip in two headers", 200, answer("content-encoding", "gzip", "content-encoding", "gzip"), nil, false},
		{"identity and gzip", 200, answer("content-encoding", "identity", "content-encoding", "gzip"), nil, false},
		{"an unknown coding", 200, answer("content-encoding", "dcb"), nil, false},
		{"an empty coding", 200, answer("content-encoding", ""), nil, false},

		{"content-range", 200, answer("content-range", "bytes 0-9/100"), nil, false},
		{"www-authenticate", 200, answer("www-authenticate", "Basic"), nil, false},
		{"authentication-info", 200, answer("authentication-info", "nextnonce=1"), nil, false},
		{"proxy-authentication-info", 200, answer("proxy-authentication-info", "a"), nil, false},
		{"x-csrf-token", 200, answer("x-csrf-token", "a"), nil, false},
		{"x-auth-token", 200, answer("x-auth-token", "a"), nil, false},
		{"x-session-id", 200, answer("x-session-id", "a"), nil, false},
		{"x-user-id", 200, answer("x-user-id", "a"), nil, false},
		{"x-author", 200, answer("x-author", "a"), nil, true},
		{"clear-site-data", 200, answer("clear-site-data", `"cookies"`), nil, false},
		{"any origin", 200, answer("access-control-allow-origin", "*", "access-control-expose-headers", "etag"), nil, true},
		{"one origin", 200, answer("access-control-allow-origin", "https://a.example"), nil, false},
		{"one origin, keyed", 200, answer("access-control-allow-origin", "https://a.example", "access-control-allow-credentials", "true"), []string{"origin"}, true},
		{"the origin null", 200, answer("access-control-allow-origin", "null"), nil, false},

		{"multipart/byteranges", 200, answer("content-type", "Multipart/ByteRanges; boundary=a"), nil, false},
		{"multipart/x-mixed-replace", 200, answer("content-type", "multipart/x-mixed-replace"), nil, false},
		{"text/event-stream", 200, answer("content-type", "text/event-stream; charset=utf-8"), nil, false},
		{"gRPC", 200, answer("content-type", "application/grpc+proto"), nil, false},
		{"gRPC-web", 200, answer("content-type", " Application/GRPC-web"), nil, false},
		{"grpc-status", 200, answer("grpc-status", "0"), nil, false},
		{"multipart/mixed", 200, answer("content-type", "multipart/mixed; boundary=a"), nil, true},

		{"chunked", 200, answer("transfer-encoding", "Chunked"), nil, true},
		{"a coded transfer", 200, answer("transfer-encoding", "gzip, chunked"), nil, false},
		{"connection: close", 200, answer("connection", "Close, keep-alive", "keep-alive", "timeout=5"), nil, true},
		{"connection: cache-control", 200, answer("connection", "cache-control", "cache-control", "max-age=60"), nil, false},
		{"connection: content-encoding", 200, answer("connection", "close, Content-Encoding", "content-encoding", "gzip"), nil, false},
		{"a content-length", 200, answer("content-length", "12"), nil, true},
		{"the same twice", 200, answer("content-length", "12", "content-length", "12"), nil, true},
		{"two that differ", 200, answer("content-length", "12", "content-length", "13"), nil, false},
		{"a list of them", 200, answer("content-length", "12, 12"), nil, false},
		{"a negative one", 200, answer("content-length", "-1"), nil, false},
		{"a signed one", 200, answer("content-length", "+12"), nil, false},
		{"one that overflows", 200, answer("content-length", "18446744073709551616"), nil, false},

		{"too old", 200, answer("age", "3601"), nil, false},
		{"old, and just within", 200, answer("age", "3600"), nil, true},
		{"past its stale-if-error", 200, answer("age", "71", "cache-control", "max-age=60, stale-if-error=10"), nil, false},
		{"s-maxage=0", 200, answer("cache-control", "s-maxage=0"), nil, false},
		{"s-maxage=0, stale-if-error", 200, answer("cache-control", "s-maxage=0, stale-if-error=60"), nil, true},
		{"max-age=0", 200, answer("cache-control", "max-age=0"), nil, true},
	} {
		if _, why := rules(tc.keyed...).Answer(tc.headers, tc.status, noon, 0); (why == NoObstacle) != tc.want {
			t.Errorf("%s: got %v, want it kept: %v", tc.name, why, tc.want)
		}
	}
}

// Each spelling of a directive that forbids storing, and each malformed one.
func TestPrivateInAnySpelling(t *testing.T) {
	for _, directive := range []string{"no-store", "private", "no-cache", "must-revalidate", "proxy-revalidate"} {
		for _, spelling := range []string{
			"%", " %", "%\t", "\t% ,", ",%", ",,%,,", "public, %", "%, max-age=60", "max-age=60,%", "max-age=60 , \t%", "public,%,max-age=1",
			`%="x"`, `%="set-cookie, etag"`, "%=x", "%=", "% = x", `% = "x"`, `%=""`, "%=1",
			`ext="a,b", %`, `ext="\"", %`, `ext="\\", %`, `ext="a=b;c", %, x`,
			// Unreadable: refused whatever it means.
			"max-age=60; %", "max-age=60 %", `ext="%`, `ext="a", "%"`, `"%"`, "%;x", "(%)", "max-age=60\n%", "%\x00", `a="b"%`, "\u00a0%", "%=\"x", "=%",
		} {
			value := strings.ReplaceAll(spelling, "%", directive)
			for _, h := range []pairs{
				answer("cache-control", value),
				answer("cache-control", strings.ToUpper(value)),
				answer("cache-control", "public, max-age=60", "cache-control", value),
				answer("cache-control", value, "cache-control", "public, max-age=60"),
			} {
				if _, why := rules("authorization").Answer(h, 200, noon, 0); why == NoObstacle {
					t.Errorf("%q: got stored, want not stored", h)
				}
			}
		}
	}
}

func TestAgesAndLifetimes(t *testing.T) {
	const none = uint32(NoSeconds)
	for _, tc := range []struct {
		name                   string
		headers                pairs
		took                   time.Duration
		age, lifetime, staleIf uint32
	}{
		{"nothing stated", answer(), 0, 0, none, none},
		{"max-age", answer("cache-control", "max-age=60"), 0, 0, 60, none},
		{"max-age in quotes", answer("cache-control", `max-age="60"`), 0, 0, 60, none},
		{"MAX-AGE", answer("cache-control", "MAX-AGE=60"), 0, 0, 60, none},
		{"max-age with zeros", answer("cache-control", "max-age=00060"), 0, 0, 60, none},
		{"max-age, of any size", answer("cache-control", "max-age=99999999999999999999999"), 0, 0, maxSeconds, none},
		{"max-age twice", answer("cache-control", "max-age=60, max-age=70"), 0, 0, 0, none},
		{"max-age in two headers", answer("cache-control", "max-age=60", "cache-control", "max-age=60"), 0, 0, 0, none},
		{"max-age without a number", answer("cache-control", "max-age"), 0, 0, 0, none},
		{"max-age with nothing", answer("cache-control", "max-age="), 0, 0, 0, none},
		{"max-age below 0", answer("cache-control", "max-age=-1"), 0, 0, 0, none},
		{"max-age with a fraction", answer("cache-control", "max-age=1.5"), 0, 0, 0, none},
		{"max-age in words", answer("cache-control", "max-age=1h"), 0, 0, 0, none},
		{"s-maxage wins", answer("cache-control", "max-age=60, s-maxage=10"), 0, 0, 10, 0},
		{"s-maxage wins in any order", answer("cache-control", "s-maxage=70, max-age=60"), 0, 0, 70, 0},
		{"s-maxage, and what is stale is allowed", answer("cache-control", "s-maxage=10, stale-if-error=100"), 0, 0, 10, 100},
		{"an s-maxage that can't be read, and stale-if-error", answer("cache-control", "max-age=60, s-maxage=x, stale-if-error=9"), 0, 0, 0, 9},
		{"max-age wins over expires", answer("cache-control", "max-age=60", "expires", afterNoon, "date", atNoon), 0, 0, 60, none},
		{"a malformed max-age wins, too", answer("cache-control", "max-age=x", "expires", afterNoon, "date", atNoon), 0, 0, 0, none},
		{"expires minus date", answer("expires", afterNoon, "date", beforeNoon), 0, 10, 70, none},
		{"expires without a date", answer("expires", afterNoon), 0, 0, 60, none},
		{"expires before date", answer("expires", beforeNoon, "date", atNoon), 0, 0, 0, none},
		{"expires: 0", answer("expires", "0"), 0, 0, 0, none},
		{"expires: -1", answer("expires", "-1"), 0, 0, 0, none},
		{"expires twice", answer("expires", afterNoon, "expires", afterNoon), 0, 0, 0, none},
		{"expires in another zone", answer("expires", "Sun, 06 Nov 1994 12:01:00 CET"), 0, 0, 0, none},
		{"expires by RFC 850", answer("expires", "Sunday, 06-Nov-94 12:01:00 GMT"), 0, 0, 60, none},
		{"expires with an hour of one digit", answer("expires", "Sun, 06 Nov 1994 2:01:00 GMT"), 0, 0, 0, none},
		{"expires with two spaces", answer("expires", "Sun, 06 Nov  2044 12:01:00 GMT"), 0, 0, 0, none},
		{"expires by asctime", answer("expires", "Sun Nov  6 12:01:00 1994"), 0, 0, 60, none},
		{"expires in the year 9999", answer("expires", "Fri, 31 Dec 9999 23:59:59 GMT"), 0, 0, maxSeconds, none},

		{"age", answer("age", "7"), 0, 7, none, none},
		{"age and the way", answer("age", "7"), 2500 * time.Millisecond, 9, none, none},
		{"the way", answer(), 1999 * time.Millisecond, 1, none, none},
		{"age, malformed", answer("age", "7s"), 0, 0, none, none},
		{"age, a list: the first", answer("age", "7, 9"), 0, 7, none, none},
		{"age twice: the older", answer("age", "7", "age", "9"), 0, 9, none, none},
		{"age twice, the other way round", answer("age", "9", "age", "7"), 0, 9, none, none},
		{"date", answer("date", beforeNoon), 0, 10, none, none},
		{"date and an older age", answer("date", beforeNoon, "age", "11"), 0, 11, none, none},
		{"date and a younger age", answer("date", beforeNoon, "age", "9"), 0, 10, none, none},
		{"a date in the future", answer("date", afterNoon), 0, 0, none, none},
		{"a date in the future, and age", answer("date", afterNoon, "age", "3"), 0, 3, none, none},
		{"a date that is none", answer("date", "yesterday"), 0, 0, none, none},

		{"stale-if-error", answer("cache-control", "max-age=60, stale-if-error=10"), 0, 0, 60, 10},
		{"stale-if-error without a lifetime", answer("cache-control", "stale-if-error=10"), 0, 0, none, 10},
		{"stale-if-error twice: the least", answer("cache-control", "stale-if-error=10", "cache-control", "stale-if-error=5"), 0, 0, none, 5},
		{"stale-if-error that can't be read", answer("cache-control", "stale-if-error=x"), 0, 0, none, 0},
	} {
		got, why := rules().Answer(tc.headers, 200, noon, int64(tc.took))
		want := Answer{Age: tc.age, Lifetime: tc.lifetime, StaleIfError: tc.staleIf, Coding: Identity, Length: -1}
		want.Public = strings.Contains(tc.name, "s-maxage")
		if why != NoObstacle || got != want {
			t.Errorf("%s: got %+v, why %v, want %+v", tc.name, got, why, want)
		}
	}
}

func TestCodingAndLengthOfAnAnswer(t *testing.T) {
	r := rules()
	got, _ := r.Answer(answer("content-encoding", "X-GZIP", "content-length", "12"), 200, noon, 0)
	if got.Coding != Gzip || got.Length != 12 {
		t.Errorf("got %+v, want coding gzip and length 12", got)
	}
	// Nothing of one answer is left for the next one.
	r.Answer(answer("cache-control", "s-maxage=9, private", "age", "7", "pragma", "no-cache"), 200, noon, 0)
	want := Answer{Lifetime: NoSeconds, StaleIfError: NoSeconds, Coding: Identity, Length: -1}
	if got, why := r.Answer(answer(), 200, noon, 0); why != NoObstacle || got != want {
		t.Errorf("Answer = %+v, %v, want %+v", got, why, want)
	}
}

// A clock that was never set, or an absurd clock of upstream, makes answers only old.
func TestClocksBeyondReason(t *testing.T) {
	for _, wall := range []int64{0, -1, math.MinInt64 / 4, math.MaxInt64 / 4} {
		for _, date := range []string{atNoon, "Thu, 01 Jan 1970 00:00:00 GMT", "Sat, 01 Jan 0000 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"} {
			got, _ := rules().Answer(answer("date", date, "expires", date), 200, wall, math.MaxInt64)
			if got.Age > maxSeconds || got.Lifetime > maxSeconds && got.Lifetime != NoSeconds {
				t.Errorf("wall %d, date %s: got %+v, want it within its bounds", wall, date, got)
			}
		}
	}
	if got, _ := rules().Answer(answer("expires", "0"), 200, -5, 0); got.Lifetime != 0 {
		t.Errorf("a malformed Expires, before 1970: got %+v, want lifetime 0", got)
	}
	if _, why := rules().Answer(answer("date", "Thu, 01 Jan 1970 00:00:00 GMT"), 200, noon, 0); why == NoObstacle {
		t.Error("an answer of 1970: got stored, want not stored")
	}
}
