package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/filter/adminapi"
)

// hostileNames are names that Envoy accepts for a cluster, and as which its metrics have it.
var hostileNames = []struct{ name, label string }{
	{`<img src=x onerror=alert(1)>"'&amp;`, `<img src=x onerror=alert(1)>"'&amp_`},
	{"escape\x1b[31m\x07", "escape_[31m_"},
	{"line\r\nweir_faults_total: 9\n[critical] forged", "line__weir_faults_total: 9_[critical] forged"},
	{"right\u202eleft", "right\u202eleft"},
	{`tags;_decision_=allowed;_x="y\`, `tags__decision__allowed__x="y\`},
	{"dots.a..b:c=d", "dots.a..b:c=d"},
	{"zero\x00delete\x7f", "zero_delete_"},
	{"__proto__", "__proto__"},
	{"../x?y#z%2f", "../x?y#z%2f"},
	{"long" + strings.Repeat("n", 300), "long" + strings.Repeat("n", 300)},
}

// routesTo gives each name a cluster like that of the bootstrap and the route /INDEX, and lets the header x-cluster choose
// one for /any.
func routesTo(t *testing.T, b *bootstrapv3.Bootstrap, names []string) {
	t.Helper()
	clusters := &b.StaticResources.Clusters
	at := slices.IndexFunc(*clusters, func(c *clusterv3.Cluster) bool { return c.GetName() == "home" })
	to := func(path string, action *routev3.RouteAction) *routev3.Route {
		return &routev3.Route{
			Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: path}},
			Action: &routev3.Route_Route{Route: action},
		}
	}
	routes := []*routev3.Route{to("/any", &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_ClusterHeader{ClusterHeader: "x-cluster"}})}
	for i, name := range names {
		c := proto.CloneOf((*clusters)[at])
		c.Name, c.LoadAssignment.ClusterName = name, name
		*clusters = append(*clusters, c)
		routes = append(routes, to(fmt.Sprint("/", i), &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: name}}))
	}
	changeManager(t, b, func(m *hcmv3.HttpConnectionManager) {
		for _, host := range m.GetRouteConfig().GetVirtualHosts() {
			host.Routes = append(slices.Clone(routes), host.GetRoutes()...)
		}
	})
}

// TestHostileNames: names of clusters are not Weir's: those that a control plane gives them, and, where a route has
// cluster_header, those that clients make up. The first can write neither into the log, a terminal or the metrics of others;
// of the second, of which no cluster exists, nothing is kept.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	u.Set(upstream.Status(http.StatusInternalServerError))
	o := options(t, `
clusters: {home: {circuit_breaker: {}}}
default: {circuit_breaker: {failure_threshold: 2, recovery_timeout: 1h}, rate_limit: {requests: 1000}, fallback: {default_data: {body: default}}}
`, map[string]*upstream.Upstream{"home": u})
	withAdmin(&o)
	var names []string
	for _, n := range hostileNames {
		names = append(names, n.name)
	}
	w := startWith(t, o, func(b *bootstrapv3.Bootstrap) { routesTo(t, b, names) })
	for i, n := range hostileNames {
		for range 3 {
			w.get("home", fmt.Sprint("/", i))
		}
		if a := w.get("home", fmt.Sprint("/", i)); a.reason() != "circuit_open" {
			t.Errorf("cluster %q after three failures: got %d %q, want circuit_open", n.name, a.status, a.reason())
		}
	}

	// The numbers of each are shown under its own name.
	for _, n := range hostileNames {
		cluster := "{cluster=" + strconv.Quote(n.label)
		w.WaitMetric("weir_breaker_state"+cluster+"}", engine.Exactly(2))
		w.WaitMetric("weir_requests_total"+cluster+`,decision="circuit_open"}`, engine.Exactly(2))
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
	clusters := func() []string {
		a := w.console().ask("GET", "/status", "")
		var status adminapi.Status
		if err := json.Unmarshal([]byte(a.body), &status); err != nil {
			t.Fatalf("GET /status: %d %v", a.status, err)
		}
		return slices.Sorted(maps.Keys(status.Clusters))
	}
	want := slices.Sorted(slices.Values(append([]string{"home"}, names...)))
	eventually(t, func() error {
		if got := clusters(); !slices.Equal(got, want) {
			return fmt.Errorf("GET /status: got clusters %q, want %q", got, want)
		}
		return nil
	})
	for _, args := range [][]string{{"status"}, {"status", "--json"}} {
		said := runWeir(t, append(args, w.console().url)...)
		if said.status != 0 || strings.ContainsFunc(said.out, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
			t.Errorf("weir %s: got status %d and %q, want printable characters", strings.Join(args, " "), said.status, said.out)
		}
	}
	for line := range strings.Lines(w.Logs()) {
		if line = strings.TrimSuffix(line, "\n"); strings.Contains(line, "wasm log") && strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) ||
			strings.HasPrefix(line, "[critical]") || strings.HasPrefix(line, "weir_") {
			t.Errorf("got a log line of a name: %q", line)
		}
	}

	// Names of which no cluster exists.
	before := len(w.Stats())
	for i := range 300 {
		name := fmt.Sprintf("made-up-%d", i)
		if i%10 == 0 {
			name = strings.Repeat("\x80\xff<b>", 8<<10)
		}
		text := "GET /any HTTP/1.1\r\nhost: home\r\nconnection: close\r\nx-cluster: " + name + "\r\n\r\n"
		if a := w.raw("GET", text); a.status != http.StatusServiceUnavailable || a.source() != "" {
			t.Fatalf("x-cluster: %.20q: got %d from %q, want Envoy's own 503", name, a.status, a.source())
		}
	}
	if got := clusters(); !slices.Equal(got, want) {
		t.Errorf("after names that clients made up: got clusters %q, want %q", got, want)
	}
	if grown := len(w.Stats()) - before; grown > 50 { // codes of responses, and the like
		t.Errorf("300 names that clients made up: got %d more of Envoy's statistics, want none for each", grown)
	}
}
