package bench

import (
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/envoy/render"
)

// Setting is a number from 1 on in the environment, as BENCH_ROUNDS is.
func Setting(t testing.TB, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s: want a number from 1 on, got %q", name, text)
	}
	return n
}

// StartUpstream starts an Envoy that answers everything by itself: the cheapest upstream there is, and always equally
// fast.
func StartUpstream(t testing.TB) render.Upstream {
	t.Helper()
	nowhere := render.Upstream{Name: Cluster, Host: "127.0.0.1", Port: 1}
	bootstrap, err := render.Bootstrap(render.Options{Policy: []byte(`{"clusters": {}}`), Upstreams: []render.Upstream{nowhere}})
	if err != nil {
		t.Fatal(err)
	}
	ChangeManager(t, bootstrap, func(manager *hcmv3.HttpConnectionManager) {
		SetFilters(manager)
		manager.GetRouteConfig().GetVirtualHosts()[0].Routes = []*routev3.Route{
			direct("/4k", http.StatusOK, strings.Repeat("x", 4<<10)),
			direct("/64k", http.StatusOK, strings.Repeat("x", 64<<10)),
			direct("/fail", http.StatusServiceUnavailable, ""),
			direct("/", http.StatusOK, `{"services": []}`),
		}
		manager.GetRouteConfig().MaxDirectResponseBodySizeBytes = wrapperspb.UInt32(64 << 10)
	})
	host, portText, err := net.SplitHostPort(engine.Start(t, engine.Config{Bootstrap: bootstrap, LogLevel: "warning"}).Addr(""))
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return render.Upstream{Name: Cluster, Host: host, Port: uint32(port)}
}

// direct is a route that Envoy answers by itself.
func direct(prefix string, status uint32, body string) *routev3.Route {
	return &routev3.Route{
		Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: prefix}},
		Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
			Status: status,
			Body:   &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: body}},
		}},
	}
}

// SetFilters puts these filters before the router, in the place of what the renderer has put there.
func SetFilters(manager *hcmv3.HttpConnectionManager, filters ...*hcmv3.HttpFilter) {
	router := manager.GetHttpFilters()[len(manager.GetHttpFilters())-1]
	manager.HttpFilters = append(filters, router)
}

// ChangeManager changes the HTTP connection manager of the one listener.
func ChangeManager(t testing.TB, bootstrap *bootstrapv3.Bootstrap, change func(*hcmv3.HttpConnectionManager)) {
	t.Helper()
	filter := bootstrap.GetStaticResources().GetListeners()[0].GetFilterChains()[0].GetFilters()[0]
	var manager hcmv3.HttpConnectionManager
	if err := filter.GetTypedConfig().UnmarshalTo(&manager); err != nil {
		t.Fatal(err)
	}
	change(&manager)
	typed, err := anypb.New(&manager)
	if err != nil {
		t.Fatal(err)
	}
	filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: typed}
}
