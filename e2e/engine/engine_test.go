package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

func TestMain(m *testing.M) { os.Exit(engine.Main(m)) }

// plain is an Envoy without Weir. Its routes come from a watched file of its folder. PORT is the upstream's.
const plain = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}
node: {id: e2e, cluster: e2e}
static_resources:
  listeners:
  - name: traffic
    address: {socket_address: {address: 127.0.0.1, port_value: 10000}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: plain
          rds: {route_config_name: routes, config_source: {resource_api_version: V3, path_config_source: {path: DIR/routes.yaml}}}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: upstream
    connect_timeout: 1s
    type: STATIC
    load_assignment:
      cluster_name: upstream
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: PORT}}}}]}]
`

// routes sends / to the upstream and answers /version itself.
const routes = `
resources:
- "@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
  name: routes
  virtual_hosts:
  - name: all
    domains: ["*"]
    routes:
    - {match: {path: /version}, direct_response: {status: 200, body: {inline_string: VERSION}}}
    - {match: {prefix: /}, route: {cluster: upstream}}
`

func routesOf(version string) []byte { return []byte(strings.ReplaceAll(routes, "VERSION", version)) }

func config(t *testing.T, u *upstream.Upstream) engine.Config {
	t.Helper()
	dir := engine.Dir(t)
	_, port, _ := strings.Cut(u.Addr(), ":")
	text, err := yaml.YAMLToJSON([]byte(strings.NewReplacer("DIR", dir, "PORT", port).Replace(plain)))
	if err != nil {
		t.Fatal(err)
	}
	var bootstrap bootstrapv3.Bootstrap
	if err := protojson.Unmarshal(text, &bootstrap); err != nil {
		t.Fatal(err)
	}
	return engine.Config{Bootstrap: &bootstrap, Dir: dir, Files: map[string][]byte{"routes.yaml": routesOf("one")}}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestEnvoyInFrontOfAnUpstream(t *testing.T) {
	u := upstream.New(t)
	envoy := engine.Start(t, config(t, u))

	for _, c := range []struct {
		name   string
		does   upstream.Behaviour
		status int
		body   string
	}{
		{"a body", upstream.Body("hello"), 200, "hello"},
		{"a status", upstream.Status(503).Body("busy"), 503, "busy"},
		{"a reset", upstream.Reset(), 503, "upstream connect error or disconnect/reset before headers. reset reason: connection termination"},
	} {
		u.Set(c.does)
		if status, body := get(t, envoy.URL()+"/prices"); status != c.status || body != c.body {
			t.Errorf("%s: got %d %q, want %d %q", c.name, status, body, c.status, c.body)
		}
	}
	if u.Count() != 3 {
		t.Errorf("upstream: got %d requests, want 3", u.Count())
	}
	u.Refuse()
	if status, body := get(t, envoy.URL()); status != 503 || !strings.Contains(body, "remote connection failure") {
		t.Errorf("refused: got %d %q, want 503 with remote connection failure", status, body)
	}

	envoy.WaitStat("cluster.upstream.upstream_rq_503", engine.Exactly(3))
	envoy.WaitStat("server.concurrency", engine.Exactly(2))
	envoy.WaitMetric(`envoy_cluster_upstream_rq{envoy_cluster_name="upstream",envoy_response_code="200"}`, engine.Exactly(1))
	if envoy.Addr("traffic") != envoy.Addr("") {
		t.Errorf("got the addresses %s and %s, want the same one", envoy.Addr("traffic"), envoy.Addr(""))
	}
}

func TestReplaceFileReloads(t *testing.T) {
	envoy := engine.Start(t, config(t, upstream.New(t)))
	if _, body := get(t, envoy.URL()+"/version"); body != "one" {
		t.Fatalf("got %q, want one", body)
	}
	envoy.ReplaceFile("routes.yaml", routesOf("two"))
	envoy.WaitStat("http.plain.rds.routes.config_reload", engine.Exactly(2))
	if _, body := get(t, envoy.URL()+"/version"); body != "two" {
		t.Fatalf("got %q, want two", body)
	}
}

func TestTwoEnvoysSideBySide(t *testing.T) {
	u := upstream.New(t)
	a, b := engine.Start(t, config(t, u)), engine.Start(t, config(t, u))
	if a.URL() == b.URL() || a.PID() == b.PID() {
		t.Fatalf("got %s and %s, pid %d and %d, want different ones", a.URL(), b.URL(), a.PID(), b.PID())
	}
	a.Kill9()
	if a.Running() {
		t.Error("after kill -9: got it running, want it ended")
	}
	if err := syscall.Kill(b.PID(), 0); err != nil {
		t.Errorf("the other Envoy: got %v, want it running", err)
	}
	if status, _ := get(t, b.URL()); status != 200 {
		t.Errorf("the other Envoy: got status %d, want 200", status)
	}
	b.Stop()
	if b.Running() {
		t.Error("after Stop: got it running, want it ended")
	}
}

func TestKeepPorts(t *testing.T) {
	c := config(t, upstream.New(t))
	listen := engine.FreePort(t)
	c.KeepPorts = true
	c.Bootstrap.GetAdmin().GetAddress().GetSocketAddress().PortSpecifier = &corev3.SocketAddress_PortValue{PortValue: engine.FreePort(t)}
	c.Bootstrap.GetStaticResources().GetListeners()[0].GetAddress().GetSocketAddress().PortSpecifier = &corev3.SocketAddress_PortValue{PortValue: listen}
	envoy := engine.Start(t, c)
	if want := fmt.Sprintf("127.0.0.1:%d", listen); envoy.Addr("") != want {
		t.Errorf("got %s, want %s", envoy.Addr(""), want)
	}
}

func TestComponentLogLevel(t *testing.T) {
	c := config(t, upstream.New(t))
	c.ComponentLogLevel = "upstream:debug"
	envoy := engine.Start(t, c)
	envoy.WaitLog("[debug][upstream]")
}

func TestFailureToStart(t *testing.T) {
	c := config(t, upstream.New(t))
	c.Bootstrap.GetStaticResources().GetClusters()[0].GetLoadAssignment().ClusterName = ""
	exit := engine.StartExpectingFailure(t, c)
	if exit.Status != 1 || !strings.Contains(exit.Logs, "ClusterLoadAssignmentValidationError.ClusterName") {
		t.Errorf("got status %d, want 1 and the reason in the log:\n%s", exit.Status, exit.Logs)
	}
}

// An Envoy that waits for its first routes answers on its admin interface, but is not ready.
func TestAdminOnly(t *testing.T) {
	c := config(t, upstream.New(t))
	c.AdminOnly = true
	c.Files = nil
	if err := os.WriteFile(filepath.Join(c.Dir, "routes.yaml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	envoy := engine.Start(t, c)
	if got := envoy.Admin("/server_info"); !strings.Contains(got, `"state"`) {
		t.Errorf("got %s, want the server's state", got)
	}
}
