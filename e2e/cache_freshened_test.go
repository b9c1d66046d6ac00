package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestCacheFreshened: a 304 and the answer to a HEAD update the kept answer, or remove it (RFC 9111, sections 4.3.4 and
// 4.3.5). The first answer is 250 s old when it comes, so an age below 100 means that it was updated.
func TestCacheFreshened(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	w := start(t, "clusters:\n  kept: {fallback: {"+onMiss+"}}", map[string]*upstream.Upstream{"kept": u})
	first := upstream.Body("first").Header("etag", `"1"`).Header("age", "250").Header("x-version", "1")
	// While the 304 is under way a POST invalidates another path: a response that may be older is not stored then.
	invalidated := upstream.Func(func(rw http.ResponseWriter, _ *http.Request) {
		fill(t, w.send(http.MethodPost, "kept", "/posted"))
		rw.Header().Set("etag", `"1"`)
		rw.Header().Set("x-version", "2")
		rw.WriteHeader(http.StatusNotModified)
	})
	cases := []struct {
		name, method string
		later        upstream.Behaviour
		version      string // "": removed
		fresh        bool
	}{
		{"304", "GET", upstream.Status(304).Header("etag", `"1"`).Header("x-version", "2"), "2", true},
		{"304, another path is invalidated meanwhile", "GET", invalidated, "2", true},
		{"304 of another tag", "GET", upstream.Status(304).Header("etag", `"2"`).Header("x-version", "2"), "1", false},
		{"304, private", "GET", upstream.Status(304).Header("etag", `"1"`).Header("cache-control", "private"), "", false},
		{"HEAD", "HEAD", upstream.Body("first").Header("etag", `"1"`).Header("x-version", "2"), "2", true},
		{"HEAD of another length", "HEAD", upstream.Body("second").Header("etag", `"1"`), "", false},
		{"HEAD of another tag", "HEAD", upstream.Body("first").Header("etag", `"2"`), "", false},
	}
	for _, tc := range cases {
		path := "/" + strings.NewReplacer(" ", "-", ",", "").Replace(tc.name)
		u.When(upstream.Path(path), first)
		fill(t, w.get("kept", path))
	}
	u.When(upstream.Path("/posted"), first)
	fill(t, w.get("kept", "/posted"))
	time.Sleep(1100 * time.Millisecond) // an answer is stored at most once a second
	for _, tc := range cases {
		path := "/" + strings.NewReplacer(" ", "-", ",", "").Replace(tc.name)
		u.When(upstream.Path(path), tc.later)
		w.send(tc.method, "kept", path, "if-none-match", `"1"`)
		u.When(upstream.Path(path), upstream.Reset())
		a := w.get("kept", path)
		if tc.version == "" {
			miss(t, tc.name, a)
			continue
		}
		hit(t, tc.name, a, "cache", "first")
		if got := a.header.Get("x-version"); got != tc.version || age(a) < 100 != tc.fresh {
			t.Errorf("%s: got version %s and age %d, want %s and fresh %v", tc.name, got, age(a), tc.version, tc.fresh)
		}
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestCacheStatus: the header says whether the request was forwarded before the kept answer was sent (RFC 9211), after the
// members of the caches that the answer passed before.
func TestCacheStatus(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	u.When(upstream.Path("/"), upstream.Body("kept").Header("cache-status", `origin; hit; ttl=9`))
	w := start(t, "clusters:\n  kept: {circuit_breaker: {failure_threshold: 3, recovery_timeout: 1h}, fallback: {"+onMiss+"}}", map[string]*upstream.Upstream{"kept": u})
	fill(t, w.get("kept", "/"))
	for i, tc := range []struct {
		fails upstream.Behaviour
		want  string
	}{
		{upstream.Status(502), "origin; hit; ttl=9, weir; fwd=bypass; fwd-status=502; ttl="},
		{upstream.Status(500), "origin; hit; ttl=9, weir; fwd=bypass; fwd-status=500; ttl="},
		{upstream.Reset(), "origin; hit; ttl=9, weir; fwd=bypass; fwd-status=503; ttl="}, // by Envoy
		{upstream.Status(500), "origin; hit; ttl=9, weir; hit; ttl="},                    // the breaker is open
	} {
		u.When(upstream.Path("/"), tc.fails)
		a := w.get("kept", "/")
		if got := a.header.Values("cache-status"); len(got) != 1 || !strings.HasPrefix(got[0], tc.want) || a.body != "kept" {
			t.Errorf("failure %d: got %q in %+v, want %s…", i, got, a, tc.want)
		}
	}
}
