package e2e

import (
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"google.golang.org/protobuf/types/known/anypb"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
)

// changeRoutes lets a test add what users have and weir does not render: it changes the routes of the first listener.
func changeRoutes(t *testing.T, b *bootstrapv3.Bootstrap, change func(*routev3.RouteConfiguration)) {
	t.Helper()
	filter := b.GetStaticResources().GetListeners()[0].GetFilterChains()[0].GetFilters()[0]
	var hcm hcmv3.HttpConnectionManager
	if err := filter.GetTypedConfig().UnmarshalTo(&hcm); err != nil {
		t.Fatal(err)
	}
	change(hcm.GetRouteConfig())
	config, err := anypb.New(&hcm)
	if err != nil {
		t.Fatal(err)
	}
	filter.GetTypedConfig().Reset()
	filter.GetTypedConfig().TypeUrl, filter.GetTypedConfig().Value = config.GetTypeUrl(), config.GetValue()
}

// directResponses puts a route /direct in front of each virtual host that Envoy answers itself, with 503.
func directResponses(routes *routev3.RouteConfiguration) {
	for _, host := range routes.GetVirtualHosts() {
		host.Routes = append([]*routev3.Route{{
			Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Path{Path: "/direct"}},
			Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{
				Status: 503,
				Body:   &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: "from Envoy"}},
			}},
		}}, host.GetRoutes()...)
	}
}
