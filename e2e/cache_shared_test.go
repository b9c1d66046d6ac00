package e2e

import (
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestCacheShared: an answer to a request whose headers may say who asks is kept only where upstream calls it public, the
// header is in the key, or the policy has `shared: true` (cases E12 and E13).
func TestCacheShared(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	u.Set(upstream.Status(500))
	u.When(healthy, upstream.Body("of a"))
	public := func(value string) upstream.Behaviour { return upstream.Body("of a").Header("cache-control", value) }
	u.When(asked("/public"), public("public"))
	u.When(asked("/s-maxage"), public("s-maxage=60"))
	u.When(asked("/max-age"), public("max-age=60"))
	w := start(t, `
clusters:
  plain: {fallback: {default_data: {body: "not in the cache"}}}
  keyed: {fallback: {cache_key_headers: [x-tenantid], default_data: {body: "not in the cache"}}}
  shared: {fallback: {shared: true, default_data: {body: "not in the cache"}}}
`, map[string]*upstream.Upstream{"plain": u, "keyed": u, "shared": u})
	for _, tc := range []struct {
		cluster, path, name string
		toOther, toSame     bool // a's answer is served to b, and to a
	}{
		{"plain", "/1", "x-tenantid", false, false},
		{"plain", "/2", "x-sub", false, false},
		{"plain", "/3", "client-cert", false, false}, // RFC 9440; Envoy removes x-forwarded-client-cert unless it is told otherwise
		{"plain", "/4", "x_forwarded_host", false, true},
		{"plain", "/5", "baggage", false, false},
		{"plain", "/6", "accept-language", false, true},
		{"plain", "/7", "user-agent", true, true},
		{"plain", "/8", "x-request-id", true, true},
		{"plain", "/public", "x-tenantid", true, true},
		{"plain", "/s-maxage", "x-tenantid", true, true},
		{"plain", "/max-age", "x-tenantid", false, false},
		{"keyed", "/9", "x-tenantid", false, true},
		{"keyed", "/10", "x_tenantid", false, true},
		{"keyed", "/11", "x-other", false, false},
		{"shared", "/12", "x-tenantid", true, true},
		{"shared", "/13", "accept-language", true, true},
		{"shared", "/14", "authorization", false, false},
		{"shared", "/15", "cookie", false, false},
		{"shared", "/16", "x_forwarded_host", false, true},
	} {
		what := tc.cluster + " " + tc.path + " " + tc.name
		fill(t, w.send("GET", tc.cluster, tc.path, tc.name, "a"))
		for value, served := range map[string]bool{"a": tc.toSame, "b": tc.toOther} {
			if a := w.sendFailing("GET", tc.cluster, tc.path, tc.name, value); served {
				hit(t, what+": "+value, a, "cache", "of a")
			} else {
				miss(t, what+": "+value, a)
			}
		}
	}
	// What was kept for a request that says nothing of who asks is not for one that does.
	fill(t, w.get("plain", "/anonymous"))
	hit(t, "anonymous", w.sendFailing("GET", "plain", "/anonymous"), "cache", "of a")
	miss(t, "x-tenantid", w.sendFailing("GET", "plain", "/anonymous", "x-tenantid", "b"))
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
