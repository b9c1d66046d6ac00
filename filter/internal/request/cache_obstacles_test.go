package request_test

import (
	"strings"
	"testing"

	"github.com/weir-mesh/weir/filter/internal/requesttest"
)

// TestObstaclesAreCounted: why a response is not kept, once for each; and nothing where nothing could have been.
func TestObstaclesAreCounted(t *testing.T) {
	header := func(pairs ...[2]string) requesttest.Headers { return pairs }
	some := []string{"some"}
	for _, tc := range []struct {
		name string
		exchange
		want string // "": nothing
	}{
		{"kept", exchange{status: 200, body: some}, ""},
		{"a cookie is set", exchange{status: 200, body: some, response: header([2]string{"set-cookie", "a=b"})}, "set_cookie"},
		{"404", exchange{status: 404}, "status"},
		{"a failure", exchange{status: 503}, ""},
		{"a credential", exchange{status: 200, body: some, headers: header([2]string{"cookie", "a=b"})}, "credential"},
		{"a credential, 404", exchange{status: 404, headers: header([2]string{"cookie", "a=b"})}, ""},
		{"no-store of the client", exchange{status: 200, body: some, headers: header([2]string{"cache-control", "no-store"})}, "request_no_store"},
		{"an unlisted header", exchange{status: 200, body: some, headers: header([2]string{"x-tenant", "a"})}, "unlisted_header"},
		{"an unseen identity", exchange{status: 200, body: some, around: requesttest.Surroundings{Who: true}}, "unseen_identity"},
		{"no name", exchange{status: 200, body: some, around: requesttest.Surroundings{Unnamed: true}}, "unnamed_route"},
		{"POST", exchange{method: "POST", status: 200, body: some}, ""},
		{"OPTIONS", exchange{method: "OPTIONS", status: 200, body: some}, ""},
		{"no length", exchange{status: 200, body: some, endless: true}, "unknown_length"},
		{"announced too long", exchange{status: 200, body: some, response: header([2]string{"content-length", "9"})}, "too_large"},
		{"too long in pieces", exchange{status: 200, body: []string{"12345678", "9"}}, "too_large"},
		{"breaks off", exchange{status: 200, body: some, breaksOff: true}, "cut_off"},
		{"the client leaves", exchange{status: 200, body: some, clientLeaves: true}, "cut_off"},
		{"shorter than announced", exchange{status: 200, body: some, response: header([2]string{"content-length", "5"})}, "cut_off"},
		{"trailers", exchange{status: 200, body: some, trailers: true}, "trailers"},
		{"of another filter", exchange{status: 200, body: some, details: "direct_response"}, ""},
	} {
		p := requesttest.Start(t, keeping)
		tc.path = "/a"
		run(p, tc.exchange)
		want := ""
		if tc.want != "" {
			want = "not kept: " + tc.want
		}
		if got := strings.Join(p.Observer.Matching("not kept"), ", "); got != want {
			t.Errorf("%s: got %q, want %q", tc.name, got, want)
		}
	}
}

func TestObstaclesToUsingAreCounted(t *testing.T) {
	cookie := requesttest.Headers{{"cookie", "a=b"}}
	fill := exchange{path: "/a", status: 200, body: []string{"some"}}
	for _, tc := range []struct {
		name  string
		after int64 // ms
		exchange
		want string // "": nothing
	}{
		{"used", 0, exchange{path: "/a"}, ""},
		{"nothing kept", 0, exchange{path: "/b"}, "nothing_kept"},
		{"of another route", 0, exchange{path: "/a", around: requesttest.Surroundings{Route: "b"}}, "nothing_kept"},
		{"a credential", 0, exchange{path: "/a", headers: cookie}, "credential"},
		{"if-match", 0, exchange{path: "/a", headers: requesttest.Headers{{"if-match", "*"}}}, "request_condition"},
		{"an unlisted header", 0, exchange{path: "/a", headers: requesttest.Headers{{"x-tenant", "a"}}}, "unlisted_header"},
		{"an unseen identity", 0, exchange{path: "/a", around: requesttest.Surroundings{Who: true}}, "unseen_identity"},
		{"no coding is accepted", 0, exchange{path: "/a", headers: requesttest.Headers{{"accept-encoding", "identity;q=0"}}}, "nothing_kept"},
		{"too old", 30_001, exchange{path: "/a"}, "too_old"},
		{"POST", 0, exchange{method: "POST", path: "/a"}, ""},
	} {
		p := requesttest.Start(t, keeping)
		run(p, fill)
		p.Now += tc.after * ms
		tc.status = 503
		run(p, tc.exchange)
		want := ""
		if tc.want != "" {
			want = "no kept answer: " + tc.want
		}
		if got := strings.Join(p.Observer.Matching("no kept answer"), ", "); got != want {
			t.Errorf("%s: got %q, want %q", tc.name, got, want)
		}
	}
}
