package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestCacheOutdated: a later answer that may not be kept removes the older one (case E11), while what the fallback is for
// does not.
func TestCacheOutdated(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	w := start(t, "clusters:\n  kept: {fallback: {max_body_bytes: 20, "+onMiss+"}}", map[string]*upstream.Upstream{"kept": u})
	for i, tc := range []struct {
		name    string
		later   upstream.Behaviour
		removes bool
	}{
		{"404", upstream.Status(404).Body("gone"), true},
		{"410", upstream.Status(410), true},
		{"301", upstream.Status(301).Header("location", "/b"), true},
		{"302", upstream.Status(302).Header("location", "/b"), true},
		{"401", upstream.Status(401), true},
		{"403", upstream.Status(403), true},
		{"201", upstream.Status(201), true},
		{"no-store", upstream.Body("new").Header("cache-control", "no-store"), true},
		{"private", upstream.Body("new").Header("cache-control", "private"), true},
		{"set-cookie", upstream.Body("new").Header("set-cookie", "a=b"), true},
		{"vary", upstream.Body("new").Header("vary", "*"), true},
		{"too long, by its content-length", upstream.Body("longer than 20 bytes, as max_body_bytes allows"), true},
		{"too long, in pieces", upstream.Pieces(0, "longer than 20 bytes,", " as max_body_bytes allows"), true},
		{"304", upstream.Status(304), false},
		{"429", upstream.Status(429), false},
		{"408", upstream.Status(408), false},
		{"416", upstream.Status(416), false},
		{"500", upstream.Status(500), false},
		{"503, no-store", upstream.Status(503).Header("cache-control", "no-store"), false},
		{"reset", upstream.Reset(), false},
		{"broken off", upstream.HalfBody(5), false},
	} {
		path := fmt.Sprintf("/%d", i)
		at := upstream.Path(path)
		u.When(at, upstream.Body("first"))
		fill(t, w.get("kept", path))
		fill(t, w.get("kept", path+"?other"))
		u.When(at, tc.later)
		if strings.HasSuffix(tc.name, "pieces") {
			time.Sleep(1100 * time.Millisecond) // a body is copied at most once a second
		}
		w.get("kept", path)
		u.When(at, upstream.Reset())
		if a := w.get("kept", path); tc.removes {
			miss(t, tc.name, a)
			if head := w.send("HEAD", "kept", path); head.source() != "default" {
				t.Errorf("%s, HEAD: got %+v, want the default data", tc.name, head)
			}
		} else {
			hit(t, tc.name, a, "cache", "first")
		}
		hit(t, tc.name+", another query", w.get("kept", path+"?other"), "cache", "first")
	}
	// What comes afterwards is kept again, and answers other than those to this key change nothing.
	at := upstream.Path("/again")
	u.When(at, upstream.Body("first"))
	fill(t, w.get("kept", "/again"))
	u.When(at, upstream.Status(404))
	w.send("GET", "kept", "/again", "authorization", "Bearer A")
	u.When(at, upstream.Reset())
	hit(t, "404 for somebody else", w.get("kept", "/again"), "cache", "first")
	u.When(at, upstream.Status(404))
	w.get("kept", "/again")
	u.When(at, upstream.Body("second"))
	time.Sleep(1100 * time.Millisecond) // a worker stores a key once a second
	fill(t, w.get("kept", "/again"))
	u.When(at, upstream.Reset())
	hit(t, "a new 200 after a 404", w.get("kept", "/again"), "cache", "second")
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
