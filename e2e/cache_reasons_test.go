package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/filter/adminapi"
)

// TestCacheReasons: why an answer was not kept, and why a kept one was not used, in the metrics and on the status.
func TestCacheReasons(t *testing.T) {
	t.Parallel()
	page := func(list ...string) upstream.Behaviour {
		b := upstream.Body("a page")
		for name, value := range pairs(list) {
			b = b.Header(name, value)
		}
		return b
	}
	u := answering(t, map[string]upstream.Behaviour{
		"/kept":    page(),
		"/cookie":  page("set-cookie", "a=b"),
		"/private": page("cache-control", "private"),
		"/vary":    page("vary", "user-agent"),
		"/missing": upstream.Status(404),
		"/old":     page("age", "3601"),
		"/large":   upstream.Body(fmt.Sprintf("%2000d", 1)),
		"/pieces":  upstream.Pieces(0, fmt.Sprintf("%600d", 1), fmt.Sprintf("%600d", 1)),
		"/brief":   page("cache-control", "max-age=0, stale-if-error=1"),
		"/zipped":  page("content-encoding", "gzip"),
		"/half":    upstream.HalfBody(100),
		"/tenant":  page(),
	})
	o := options(t, fmt.Sprintf(`
clusters:
  up: {fallback: {max_body_bytes: 1000, %[1]s}}
  none: {fallback: {enable_cache_fallback: false, %[1]s}}
`, onMiss), map[string]*upstream.Upstream{"up": u, "none": u})
	withAdmin(&o)
	w := startWith(t, o)
	notKept, notUsed := map[string]float64{}, map[string]float64{}
	ask := func(reason, path string, headers ...string) {
		t.Helper()
		w.send(http.MethodGet, "up", path, headers...)
		if reason != "" {
			notKept[reason]++
		}
	}
	fail := func(reason, path string, headers ...string) {
		t.Helper()
		w.sendFailing(http.MethodGet, "up", path, headers...)
		if reason != "" {
			notUsed[reason]++
		}
	}
	ask("", "/kept")
	ask("set_cookie", "/cookie")
	ask("set_cookie", "/cookie")
	ask("private", "/private")
	ask("vary", "/vary")
	ask("status", "/missing")
	ask("expired", "/old")
	ask("too_large", "/large")
	ask("too_large", "/pieces")
	ask("cut_off", "/half")
	ask("credential", "/kept", "cookie", "a=b")
	ask("rerouting_header", "/kept", "x-original-url", "/other")
	ask("request_no_store", "/private", "cache-control", "no-store")
	ask("unlisted_header", "/tenant", "x-tenant", "a")
	ask("", "/brief")
	ask("", "/zipped")
	w.send(http.MethodPost, "up", "/vary") // says nothing of the cache

	fail("", "/kept")
	fail("nothing_kept", "/never")
	fail("credential", "/kept", "authorization", "Basic YTpi")
	fail("unlisted_header", "/kept", "x-tenant", "a")
	fail("request_condition", "/kept", "if-match", "*")
	fail("content_encoding", "/zipped", "accept-encoding", "br")
	eventually(t, func() error { // it becomes too old
		if a := w.sendFailing(http.MethodGet, "up", "/brief"); a.source() != "default" {
			return fmt.Errorf("an answer with stale-if-error=1: got %+v, want default data after a second", a)
		}
		return nil
	})
	notUsed["too_old"] = 1
	w.sendFailing(http.MethodPost, "up", "/kept")

	for metric, by := range map[string]map[string]float64{"weir_cache_not_kept_total": notKept, "weir_cache_not_used_total": notUsed} {
		for reason, n := range by {
			w.WaitMetric(fmt.Sprintf("%s{cluster=%q,reason=%q}", metric, "up", reason), engine.Exactly(n))
		}
	}
	w.send(http.MethodGet, "none", "/cookie")
	w.sendFailing(http.MethodGet, "none", "/kept")
	var status adminapi.Status
	if err := json.Unmarshal([]byte(w.console().ask(http.MethodGet, "/status", "").body), &status); err != nil {
		t.Fatal(err)
	}
	if got := status.Clusters["up"].Cache; got == nil || !maps.Equal(got.NotKept, notKept) || !maps.Equal(got.NotUsed, notUsed) {
		t.Errorf("status: got %+v, want not kept %v and not used %v", got, notKept, notUsed)
	}
	misses := 0.0
	for _, n := range notUsed {
		misses += n
	}
	if got := status.Clusters["up"].Cache; got.Entries != 3 || got.MaxEntries != 256 || got.Bytes < 3*float64(len("a page")) || got.Hits < 1 || got.Misses != misses {
		t.Errorf("status: got %+v, want 3 entries of 256 at most with their bytes, a hit, and %v misses", got, misses)
	}
	if got := status.Clusters["none"].Cache; got != nil {
		t.Errorf("status without a cache: got %+v, want none", got)
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
