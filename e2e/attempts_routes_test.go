package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	// The types that the YAML below names.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/rbac/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// rbac is an access filter that allows everything but what a route's own rules say.
const rbac = `{name: rbac, typed_config: {"@type": ` + types + `rbac.v3.RBAC}}`

// rules are a virtual host's own rules for rbac: one policy.
func rules(action, permission, principal string) string {
	return fmt.Sprintf(`typed_per_filter_config: {rbac: {"@type": `+types+
		`rbac.v3.RBACPerRoute, rbac: {rules: {action: %s, policies: {p: {permissions: [%s], principals: [%s]}}}}}}`,
		action, permission, principal)
}

// routedAttempt is a request whose first attempt fails, on a route of its own.
type routedAttempt struct {
	name     string
	host     string // YAML: what is added to the virtual host, in both listeners
	route    string // YAML: what is added to its route's action, in both
	later    string // YAML: the whole virtual host in the internal listener, without name and domains, if it differs
	path     string // asked for
	answers  []upstream.Behaviour
	attempts []string // paths that upstream saw
	status   int
	body     string
	location string
	mirrored int
	reason   string // in weir_attempts_uncarried_total; "": the attempt was carried, or none was to be made
}

func routedAttempts() []routedAttempt {
	const all, prefixed = "{any: true}", "{url_path: {path: {prefix: /v2/}}}"
	wrong, right := upstream.Status(503).Body("first"), upstream.Body("second")
	twice := []upstream.Behaviour{wrong, right}
	pages := []string{"/page", "/page"}
	redirected := []upstream.Behaviour{wrong, upstream.Status(302).Header("location", "http://elsewhere/")}
	return []routedAttempt{
		// The rules see what they saw of the first attempt: the path before the route rewrites it.
		{
			name: "rbac-path", host: rules("DENY", prefixed, all), route: "prefix_rewrite: /v2/", path: "/page", answers: twice,
			attempts: []string{"/v2/page", "/v2/page"}, status: 200, body: "second",
		},
		{name: "rbac-path-denied", host: rules("DENY", prefixed, all), path: "/v2/page", answers: twice, status: 403, body: "RBAC: access denied"},
		{
			name: "rbac-address", host: rules("ALLOW", all, "{remote_ip: {address_prefix: 127.0.0.0, prefix_len: 8}}"), path: "/page", answers: twice,
			attempts: pages, status: 200, body: "second",
		},
		// The connection to the internal listener has no IP address.
		{
			name: "rbac-connection", host: rules("ALLOW", all, "{direct_remote_ip: {address_prefix: 127.0.0.0, prefix_len: 8}}"), path: "/page", answers: twice,
			attempts: pages[:1], status: 503, body: "first", reason: "unseen",
		},
		// The rules note what they found as metadata, on which a route may depend.
		{
			name: "rbac-only-first", host: rules("ALLOW", all, all), later: `routes: [{match: {prefix: /}, route: {cluster: rbac-only-first}}]`, path: "/page",
			answers: twice, attempts: pages[:1], status: 503, body: "first", reason: "metadata",
		},
		{name: "rbac-later", later: rules("DENY", all, all) + `
routes: [{match: {prefix: /}, route: {cluster: rbac-later}}]`, path: "/page", answers: twice, attempts: pages[:1], status: 503, body: "first", reason: "unseen"},
		{
			name: "redirect", later: `routes: [{match: {prefix: /}, redirect: {host_redirect: other.example}}]`, path: "/page", answers: twice,
			attempts: pages[:1], status: 503, body: "first", reason: "local_answer",
		},
		{name: "redirected-by-upstream", path: "/page", answers: redirected, attempts: pages, status: 302, location: "http://elsewhere/"},
		{
			name: "internal-redirect", route: "internal_redirect_policy: {max_internal_redirects: 2, redirect_response_codes: [302, 307]}", path: "/page",
			answers:  []upstream.Behaviour{wrong, upstream.Status(302).Header("location", "http://internal-redirect/onto"), right},
			attempts: []string{"/page", "/page", "/onto"}, status: 200, body: "second",
		},
		{
			name: "internal-redirects", route: "internal_redirect_policy: {max_internal_redirects: 2, redirect_response_codes: [302, 307]}", path: "/page",
			answers: []upstream.Behaviour{
				wrong, upstream.Status(302).Header("location", "http://internal-redirects/onto"), upstream.Status(307).Header("location", "http://internal-redirects/last"), right,
			},
			attempts: []string{"/page", "/page", "/onto", "/last"}, status: 200, body: "second",
		},
		{
			name: "internal-redirect-elsewhere", route: "internal_redirect_policy: {max_internal_redirects: 2}", path: "/page",
			answers:  []upstream.Behaviour{wrong, upstream.Status(302).Header("location", "http://mirrors/onto"), right},
			attempts: pages, status: 503, body: "first", reason: "other_cluster",
		},
		{
			name: "internal-redirect-first", route: "internal_redirect_policy: {max_internal_redirects: 2}", path: "/page",
			answers:  []upstream.Behaviour{upstream.Status(302).Header("location", "http://internal-redirect-first/onto"), wrong, right},
			attempts: []string{"/page", "/onto", "/onto"}, status: 200, body: "second",
		},
		// Envoy copies a request for each attempt that has the route, where its own retries would copy it once.
		{
			name: "mirrored", route: "request_mirror_policies: [{cluster: mirrors}]", path: "/page", answers: twice,
			attempts: pages, status: 200, body: "second", mirrored: 2,
		},
		{
			name: "mirrored-once", route: "request_mirror_policies: [{cluster: mirrors}]", later: `routes: [{match: {prefix: /}, route: {cluster: mirrored-once}}]`,
			path: "/page", answers: twice, attempts: pages, status: 200, body: "second", mirrored: 1,
		},
	}
}

// TestAttemptsMeetTheRoute: a further attempt meets access control, redirects and mirrors as the first one did.
func TestAttemptsMeetTheRoute(t *testing.T) {
	t.Parallel()
	rows := routedAttempts()
	policy, upstreams := "clusters:\n", map[string]*upstream.Upstream{"mirrors": upstream.New(t)}
	for _, row := range rows {
		policy += fmt.Sprintf("  %s: {%s, circuit_breaker: {failure_threshold: 2, recovery_timeout: 1h}}\n", row.name, retryRules("filter", "max_attempts: 2"))
		upstreams[row.name] = upstream.New(t)
		upstreams[row.name].ScriptAttempts(numberHeader, upstream.Any, row.answers...)
	}
	policy += fmt.Sprintf("  home: {%s, circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, failover: {to: [away]}}\n", retryRules("filter", "max_attempts: 2"))
	upstreams["home"], upstreams["away"] = upstream.New(t), upstream.New(t)
	w := startWith(t, options(t, policy, upstreams), func(b *bootstrapv3.Bootstrap) {
		everyManager(t, b, func(listener string, m *hcmv3.HttpConnectionManager) {
			access := &hcmv3.HttpFilter{}
			fromYAML(t, rbac, access)
			m.HttpFilters = slices.Insert(m.GetHttpFilters(), 0, access)
			for i, host := range m.GetRouteConfig().GetVirtualHosts() {
				if host.GetName() == "home" {
					rewriteEach(host)
				}
				for _, row := range rows {
					if host.GetName() == row.name {
						m.GetRouteConfig().GetVirtualHosts()[i] = row.virtualHost(t, listener)
					}
				}
			}
		})
	})
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			w := w.in(t)
			r, id := w.numberedRequest("GET", row.name, row.path)
			a := w.do(r)
			if a.status != row.status || a.body != row.body || a.header.Get("location") != row.location {
				t.Errorf("got %+v, want status %d and body %q", a, row.status, row.body)
			}
			var saw []string
			for _, attempt := range upstreams[row.name].Attempts(numberHeader, id) {
				saw = append(saw, attempt.Path)
			}
			if !slices.Equal(saw, row.attempts) {
				t.Errorf("got attempts %q, want %q", saw, row.attempts)
			}
			eventually(t, func() error {
				if got := upstreams["mirrors"].Attempts(numberHeader, id); len(got) != row.mirrored {
					return fmt.Errorf("got %d mirrored requests, want %d", len(got), row.mirrored)
				}
				return nil
			})
			if row.reason != "" {
				w.WaitMetric(fmt.Sprintf(`weir_attempts_uncarried_total{cluster=%q,reason=%q}`, row.name, row.reason), engine.Exactly(1))
			}
			if state := w.Prometheus()[`weir_breaker_state{cluster="`+row.name+`"}`]; state != 0 {
				t.Errorf("got breaker state %v, want closed", state)
			}
		})
	}
	t.Run("failover", func(t *testing.T) {
		w := w.in(t)
		upstreams["home"].Set(upstream.Status(503).Body("home failed"))
		upstreams["away"].Set(upstream.Body("away"))
		r, id := w.numberedRequest("GET", "home", "/page", "x-weir-cluster", "mallory")
		if a := w.do(r); a.status != 200 || a.body != "away" {
			t.Errorf("got %+v, want the answer of away", a)
		}
		for name, want := range map[string]string{"home": "home.example /home/page", "away": "away.example /away/page"} {
			attempts := upstreams[name].Attempts(numberHeader, id)
			if len(attempts) != 1 || attempts[0].Host+" "+attempts[0].Path != want {
				t.Errorf("%s: got attempts %+v, want one of %s", name, attempts, want)
			}
		}
	})
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// rewriteEach has each route of a virtual host rewrite path and host by its cluster.
func rewriteEach(host *routev3.VirtualHost) {
	for _, r := range host.GetRoutes() {
		cluster := r.GetRoute().GetCluster()
		r.GetRoute().PrefixRewrite = "/" + cluster + "/"
		r.GetRoute().HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: cluster + ".example"}
	}
}

// virtualHost is the row's in one of the listeners.
func (row *routedAttempt) virtualHost(t *testing.T, listener string) *routev3.VirtualHost {
	t.Helper()
	text := row.later
	if text == "" || listener != render.AttemptsName {
		text = fmt.Sprintf("%s\nroutes: [{match: {prefix: /}, route: {%s}}]", row.host, strings.TrimSuffix("cluster: "+row.name+", "+row.route, ", "))
	}
	host := &routev3.VirtualHost{}
	fromYAML(t, fmt.Sprintf("name: %s\ndomains: [%s]\n%s", row.name, row.name, text), host)
	return host
}
