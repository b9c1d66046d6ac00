package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestCacheInvalidated: an answer to an unsafe method that is no error invalidates what is kept of its URI, and of Location
// and Content-Location of the same host (case E10; RFC 9111, section 4.4).
func TestCacheInvalidated(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	w := start(t, "clusters:\n  kept: {fallback: {"+onMiss+"}}", map[string]*upstream.Upstream{"kept": u})
	for i, tc := range []struct {
		method  string
		target  string // behind the path that is kept
		answer  upstream.Behaviour
		header  string // of the answer, with its value, in which PATH is the kept path without its slash
		removes bool
	}{
		{"POST", "", upstream.Status(201), "", true},
		{"PUT", "", upstream.Status(204), "", true},
		{"DELETE", "", upstream.OK(), "", true},
		{"PATCH", "", upstream.Status(303), "", true},
		{"PURGE", "", upstream.OK(), "", true},
		{"POST", "?another=query", upstream.OK(), "", true},
		{"POST", "/child", upstream.OK(), "", false},
		{"POST", "/child", upstream.Status(201), "location http://kept/PATH", true},
		{"POST", "/child", upstream.Status(201), "location /PATH", true},
		{"PUT", "/child", upstream.OK(), "content-location ../PATH", true},
		{"POST", "/child", upstream.Status(201), "location http://other/PATH", false},
		{"POST", "", upstream.Status(400), "", false},
		{"POST", "", upstream.Status(500), "", false},
		{"POST", "", upstream.Reset(), "", false},
		{"OPTIONS", "", upstream.OK(), "", false},
	} {
		what := fmt.Sprintf("%d: %s PATH%s", i, tc.method, tc.target)
		path := fmt.Sprintf("/%d", i)
		u.When(upstream.Any, upstream.Body("old").Header("cache-control", "max-age=60"))
		fill(t, w.get("kept", path))
		fill(t, w.get("kept", path+"?q"))
		if name, value, ok := strings.Cut(tc.header, " "); ok {
			tc.answer = tc.answer.Header(name, strings.ReplaceAll(value, "PATH", path[1:]))
		}
		u.When(upstream.Any, tc.answer)
		w.send(tc.method, "kept", path+tc.target)
		u.When(upstream.Any, upstream.Reset())
		for _, asked := range []string{path, path + "?q"} {
			if a := w.get("kept", asked); tc.removes {
				miss(t, what+", "+asked, a)
			} else {
				hit(t, what+", "+asked, a, "cache", "old")
			}
		}
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
