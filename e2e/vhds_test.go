package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	routeservicev3 "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/anypb"

	// The type that the YAML below names.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/on_demand/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// hostService is an xDS server with virtual hosts on demand: gold-….example leads to the cluster gold, every other host to
// free.
type hostService struct {
	routeservicev3.UnimplementedVirtualHostDiscoveryServiceServer
}

// DeltaVirtualHosts implements routeservicev3.VirtualHostDiscoveryServiceServer.
func (hostService) DeltaVirtualHosts(stream routeservicev3.VirtualHostDiscoveryService_DeltaVirtualHostsServer) error {
	for nonce := 0; ; nonce++ {
		r, err := stream.Recv()
		if err != nil {
			return err
		}
		if r.GetErrorDetail() != nil {
			return fmt.Errorf("envoy refused a virtual host: %s", r.GetErrorDetail())
		}
		response := &discoveryv3.DeltaDiscoveryResponse{TypeUrl: r.GetTypeUrl(), Nonce: fmt.Sprint(nonce), SystemVersionInfo: "1"}
		for _, name := range r.GetResourceNamesSubscribe() {
			_, host, _ := strings.Cut(name, "/")
			cluster, _, _ := strings.Cut(host, "-")
			if cluster != "gold" {
				cluster = "free"
			}
			packed, err := anypb.New(&routev3.VirtualHost{
				Name: host, Domains: []string{host},
				Routes: []*routev3.Route{{
					Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
					Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}}},
				}},
			})
			if err != nil {
				return err
			}
			response.Resources = append(response.Resources, &discoveryv3.Resource{Name: name, Aliases: []string{name}, Version: "1", Resource: packed})
		}
		if len(response.GetResources()) == 0 {
			continue
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}

// startHostService returns its port on 127.0.0.1. It ends with t.
func startHostService(t *testing.T) uint32 {
	t.Helper()
	return serveGRPC(t, func(server *grpc.Server) {
		routeservicev3.RegisterVirtualHostDiscoveryServiceServer(server, hostService{})
	})
}

const (
	onDemand = `{name: on_demand, typed_config: {"@type": ` + types + `on_demand.v3.OnDemand}}`

	onDemandRoutes = `
name: hosts
vhds:
  config_source:
    resource_api_version: V3
    api_config_source: {api_type: DELTA_GRPC, transport_api_version: V3, grpc_services: [{envoy_grpc: {cluster_name: grpc-hosts}}]}
`

	onDemandPolicy = `
clusters:
  gold: {circuit_breaker: {failure_threshold: 3, recovery_timeout: 1h}}
  free: {circuit_breaker: {failure_threshold: 3, recovery_timeout: 1h}}
`
)

// TestRoutesOnDemand: a request for whose host Envoy has no route yet waits for it in a filter before Weir. The policy of the
// cluster to which that route leads decides, with a body and without, and whether the filter that resolves the route
// stands before Weir or not. All requests are for hosts of their own.
func TestRoutesOnDemand(t *testing.T) {
	t.Parallel()
	gold, free := upstream.New(t), upstream.New(t)
	gold.Set(upstream.Status(500).Body("gold failed"))
	free.Set(upstream.Body("free"))
	o := options(t, onDemandPolicy, map[string]*upstream.Upstream{"gold": gold, "free": free})
	o.Upstreams = append(o.Upstreams, render.Upstream{Name: "grpc-hosts", Host: "127.0.0.1", Port: startHostService(t), HTTP2: true})
	dir := engine.Dir(t)
	bootstrap, err := render.Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	bootstrap.Node = &corev3.Node{Id: "e2e", Cluster: "e2e"}
	for _, resolved := range []bool{true, false} {
		addOnDemand(t, bootstrap, filepath.Join(dir, "routes.yaml"), resolved)
	}
	routes := &routev3.RouteConfiguration{}
	fromYAML(t, onDemandRoutes, routes)
	packed, err := anypb.New(routes)
	if err != nil {
		t.Fatal(err)
	}
	file := asFile(t, &discoveryv3.DiscoveryResponse{VersionInfo: "1", TypeUrl: packed.GetTypeUrl(), Resources: []*anypb.Any{packed}}, nil)
	e := engine.Start(t, engine.Config{Bootstrap: bootstrap, Dir: dir, Files: map[string][]byte{"routes.yaml": file}})
	w := &weir{Envoy: e, t: t, url: e.URL()}

	hosts := 0
	ask := func(listener, method, cluster string) answer {
		hosts++
		var body *strings.Reader
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+w.Addr(listener)+"/", http.NoBody)
		if method == http.MethodPost {
			body = strings.NewReader("a body")
			r, err = http.NewRequestWithContext(t.Context(), method, "http://"+w.Addr(listener)+"/", body)
		}
		if err != nil {
			t.Fatal(err)
		}
		r.Host = fmt.Sprintf("%s-%d.example", cluster, hosts)
		return w.do(r)
	}
	listeners := []string{"resolved", "unresolved"}
	for _, listener := range listeners {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if a := ask(listener, method, "free"); a.status != 200 || a.body != "free" || a.source() != "upstream" {
				t.Errorf("%s %s to free: got %+v, want status 200 by the policy of free", listener, method, a)
			}
		}
	}
	w.WaitMetric(`weir_requests_total{cluster="free",decision="allowed"}`, engine.Exactly(4))
	var statuses []string
	for i, method := range []string{http.MethodPost, http.MethodGet, http.MethodPost, http.MethodGet, http.MethodPost, http.MethodGet, http.MethodPost, http.MethodGet} {
		a := ask(listeners[i/2%2], method, "gold")
		statuses = append(statuses, fmt.Sprint(a.status, a.reason()))
	}
	want := append(slices.Repeat([]string{"500upstream_failure"}, 3), slices.Repeat([]string{"503circuit_open"}, 5)...)
	if !slices.Equal(statuses, want) {
		t.Errorf("8 requests to gold: got %q, want %q", statuses, want)
	}
	w.WaitMetric(`weir_requests_total{cluster="gold",decision="allowed"}`, engine.Exactly(3))
	w.WaitMetric(`weir_requests_total{cluster="gold",decision="circuit_open"}`, engine.Exactly(5))
	for name, n := range w.Prometheus() {
		if strings.HasPrefix(name, "weir_misrouted_total") {
			t.Errorf("got %s %v, want no such metric", name, n)
		}
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// addOnDemand adds a listener whose virtual hosts come on demand. Resolved says whether the filter that render puts before
// Weir is there.
func addOnDemand(t *testing.T, b *bootstrapv3.Bootstrap, routes string, resolved bool) {
	t.Helper()
	name := "resolved"
	if !resolved {
		name = "unresolved"
	}
	addListener(t, b, name, func(m *hcmv3.HttpConnectionManager) {
		if !resolved {
			m.HttpFilters = slices.DeleteFunc(m.GetHttpFilters(), func(f *hcmv3.HttpFilter) bool { return f.GetName() == "resolve_route" })
		}
		filter := &hcmv3.HttpFilter{}
		fromYAML(t, onDemand, filter)
		m.HttpFilters = slices.Insert(m.GetHttpFilters(), 0, filter)
		m.RouteSpecifier = &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{RouteConfigName: "hosts", ConfigSource: &corev3.ConfigSource{
			ResourceApiVersion: corev3.ApiVersion_V3,
			ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{
				PathConfigSource: &corev3.PathConfigSource{Path: routes},
			},
		}}}
	})
}
