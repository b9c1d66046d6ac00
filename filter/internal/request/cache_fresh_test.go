package request_test

import (
	"testing"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
)

// TestFreshened: a 304 and the answer to a HEAD update the answer that is kept, or remove it (RFC 9111, 4.3.4 and 4.3.5).
func TestFreshened(t *testing.T) {
	tagged := requesttest.Headers{{"etag", `"1"`}, {"x-old", "1"}, {"cache-control", "max-age=5"}}
	conditional := requesttest.Headers{{"if-none-match", `"1"`}}
	notModified := func(headers ...[2]string) exchange {
		return exchange{path: "/a", status: 304, headers: conditional, response: headers}
	}
	head := func(headers ...[2]string) exchange {
		return exchange{method: "HEAD", path: "/a", status: 200, response: headers}
	}
	const updated, old, gone = "200 cache some", "200 stale_cache some", "upstream's own"
	for _, tc := range []struct {
		name  string
		later exchange
		want  string // 8 s after the first answer, 5 s after the later one
		value string // of x-new
	}{
		{"304", notModified([2]string{"etag", `"1"`}, [2]string{"x-new", "2"}), updated, "2"},
		{"304 of a weak tag", notModified([2]string{"etag", `W/"1"`}), updated, ""},
		{"304 of another tag", notModified([2]string{"etag", `"2"`}), old, ""},
		{"304 without a tag", notModified(), old, ""},
		{"304 that states less", notModified([2]string{"etag", `"1"`}, [2]string{"cache-control", "max-age=1"}), old, ""},
		{"304, no-store", notModified([2]string{"etag", `"1"`}, [2]string{"cache-control", "no-store"}), gone, ""},
		{"304, set-cookie", notModified([2]string{"etag", `"1"`}, [2]string{"set-cookie", "a=b"}), gone, ""},
		{"304 for one who is known", exchange{
			path: "/a", status: 304, headers: conditional, response: requesttest.Headers{{"etag", `"1"`}},
			around: requesttest.Surroundings{Who: true},
		}, old, ""},
		{"HEAD", head([2]string{"etag", `"1"`}, [2]string{"content-length", "4"}, [2]string{"x-new", "2"}), updated, "2"},
		{"HEAD without length", head([2]string{"etag", `"1"`}), updated, ""},
		{"HEAD of another tag", head([2]string{"etag", `"2"`}), gone, ""},
		{"HEAD of another length", head([2]string{"etag", `"1"`}, [2]string{"content-length", "5"}), gone, ""},
	} {
		p := requesttest.Start(t, keeping)
		run(p, exchange{path: "/a", status: 200, response: tagged, body: []string{"some"}})
		p.Now += 3000 * ms
		run(p, tc.later)
		p.Now += 5000 * ms
		step := run(p, exchange{path: "/a", status: 503})
		if got := summary(step); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
			continue
		}
		if step.Kind != request.SendReply {
			continue
		}
		headers := requesttest.Reply(step).Headers
		for name, want := range map[string]string{"x-old": "1", "x-new": tc.value} {
			if got := requesttest.Header(headers, name); got != want {
				t.Errorf("%s: got %s %q, want %q", tc.name, name, got, want)
			}
		}
	}
}

// TestCacheStatus: the members of inner caches stay before Weir's (RFC 9211, section 2).
func TestCacheStatus(t *testing.T) {
	p := requesttest.Start(t, keeping)
	run(p, exchange{
		path: "/a", status: 200, body: []string{"some"},
		response: requesttest.Headers{{"cache-status", "origin; hit; ttl=9"}, {"cache-status", `"a cdn"; fwd=miss`}},
	})
	for _, tc := range []struct {
		after int64 // ms
		want  string
	}{
		{0, `origin; hit; ttl=9, "a cdn"; fwd=miss, weir; fwd=bypass; fwd-status=503; ttl=10`},
		{12_000, `origin; hit; ttl=9, "a cdn"; fwd=miss, weir; fwd=stale; fwd-status=503; ttl=-2`},
	} {
		p.Now += tc.after * ms
		if got := requesttest.Header(requesttest.Reply(run(p, exchange{path: "/a", status: 503})).Headers, "cache-status"); got != tc.want {
			t.Errorf("after %d ms: got cache-status %s, want %s", tc.after, got, tc.want)
		}
	}
}
