package e2e

import (
	"fmt"
	"net/http"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestCacheFilterState: an identity that is only in filter state can't be seen by a Wasm filter. So where a route makes a header of it,
// one user gets what was kept for another: the limit that docs/cache.md names. With its remedy, the same header made by a filter before
// Weir, nobody does; and with the header in the key each user gets an own answer.
func TestCacheFilterState(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	u.Set(upstream.Status(500))
	u.When(healthy, upstream.Func(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, "of "+r.Header.Get("x-who")) }))
	const (
		who   = "%FILTER_STATE(user:PLAIN)%"
		state = `{"name": "state", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
			"on_request_headers": [{"object_key": "user", "factory_key": "envoy.string",
				"format_string": {"text_format_source": {"inline_string": "%REQ(x-user)%"}}}]}}`
		hide = `{"name": "hide", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
			"mutations": {"request_mutations": [{"remove": "x-user"}]}}}`
		remedy = `{"name": "who", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
			"mutations": {"request_mutations": [{"append": {"header": {"key": "x-who", "value": "` + who + `"},
				"append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}}]}}}`
	)
	w := startWith(t, options(t, `
clusters:
  up: {fallback: {default_data: {body: "not in the cache"}}}
  keyed: {fallback: {cache_key_headers: [x-who], default_data: {body: "not in the cache"}}}
`, map[string]*upstream.Upstream{"up": u, "keyed": u}), func(b *bootstrapv3.Bootstrap) {
		// The last filter stands first.
		listenAs(t, b, "in-the-route", who, hide, state)
		listenAs(t, b, "before-weir", "", remedy, hide, state)
	})
	for _, tc := range []struct {
		name, listener, cluster string
		bob, alice              string // what they get after alice was answered; "": nothing kept
	}{
		{"in the route", "in-the-route", "up", "of alice", "of alice"},
		{"before Weir", "before-weir", "up", "", ""},
		{"before Weir and in the key", "before-weir", "keyed", "", "of alice"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := &weir{Envoy: w.Envoy, t: t, url: "http://" + w.Addr(tc.listener)}
			path := "/" + tc.listener + tc.cluster
			ask := func(user string, headers ...string) answer {
				return w.send("GET", tc.cluster, path, append(headers, "x-user", user)...)
			}
			if a := fill(t, ask("alice")); a.body != "of alice" {
				t.Fatalf("upstream does not see who asks: got %+v", a)
			}
			for user, want := range map[string]string{"bob": tc.bob, "alice": tc.alice} {
				if a := ask(user, failHeader, "500"); want != "" {
					hit(t, "to "+user, a, "cache", want)
				} else {
					miss(t, "to "+user, a)
				}
			}
		})
	}
	w.WaitMetric(`weir_cache_not_kept_total{cluster="up",reason="unlisted_header"}`, engine.Exactly(1))
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
