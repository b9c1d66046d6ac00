package render

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// trafficListener is the listener that clients talk to.
//
// A second, private listener for Weir's own admin interface (SPEC part 4) will stand beside it: the same filter with
// `{"admin": {}}` and the same vm_id. It is no part of this listener, so that no route of a client ever leads there.
func trafficListener(o Options) (*listenerv3.Listener, error) {
	bind, err := socketAddress(o.Listen)
	if err != nil {
		return nil, err
	}
	filters, err := httpFilters(o)
	if err != nil {
		return nil, err
	}
	manager, err := anypb.New(&hcmv3.HttpConnectionManager{
		StatPrefix:     "weir",
		CodecType:      hcmv3.HttpConnectionManager_AUTO,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: routes(o.Upstreams)},
		HttpFilters:    filters,
		UpgradeConfigs: []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},
		// What Envoy recommends at an edge, so that one resource has one path and a client's word about its own
		// address or about `x-envoy-*` is not believed.
		// https://www.envoyproxy.io/docs/envoy/latest/configuration/best_practices/edge
		UseRemoteAddress:             wrapperspb.Bool(true),
		InternalAddressConfig:        &hcmv3.HttpConnectionManager_InternalAddressConfig{},
		NormalizePath:                wrapperspb.Bool(true),
		MergeSlashes:                 true,
		PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT,
	})
	if err != nil {
		return nil, err
	}
	return &listenerv3.Listener{
		Name:    "traffic",
		Address: bind,
		FilterChains: []*listenerv3.FilterChain{{
			Filters: []*listenerv3.Filter{{
				Name:       "envoy.filters.network.http_connection_manager",
				ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: manager},
			}},
		}},
	}, nil
}

// routes gives each upstream a virtual host of its own name; the first also takes every other host.
func routes(upstreams []Upstream) *routev3.RouteConfiguration {
	config := &routev3.RouteConfiguration{Name: "traffic"}
	for i, u := range upstreams {
		domains := []string{u.Name, u.Name + ":*"}
		if i == 0 {
			domains = append(domains, "*")
		}
		config.VirtualHosts = append(config.VirtualHosts, &routev3.VirtualHost{
			Name:    u.Name,
			Domains: domains,
			Routes: []*routev3.Route{{
				Name:  u.Name,
				Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				// No timeout is written: Envoy's 15 s stands unless a policy's circuit_breaker.timeout says otherwise.
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{
					ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: u.Name},
				}},
			}},
		})
	}
	return config
}

// httpFilters is Weir, inline or by discovery, and the router.
func httpFilters(o Options) ([]*hcmv3.HttpFilter, error) {
	weir := &hcmv3.HttpFilter{Name: filterName}
	if o.ECDS == "" {
		filter, err := Filter(o)
		if err != nil {
			return nil, err
		}
		weir.ConfigType = &hcmv3.HttpFilter_TypedConfig{TypedConfig: filter.GetTypedConfig()}
	} else {
		weir.ConfigType = &hcmv3.HttpFilter_ConfigDiscovery{ConfigDiscovery: discovery(o.ECDS)}
	}
	router, err := anypb.New(&routerv3.Router{})
	if err != nil {
		return nil, err
	}
	return []*hcmv3.HttpFilter{weir, {
		Name:       "envoy.filters.http.router",
		ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: router},
	}}, nil
}

// discovery makes Envoy take the filter's configuration from a file and follow it. There is no default_config: until
// a first policy without mistakes is there, requests are answered with 500 rather than let through unprotected.
func discovery(path string) *corev3.ExtensionConfigSource {
	if !strings.Contains(path, "/") {
		path = "./" + path // Envoy watches a file through its directory and refuses a path that names none
	}
	return &corev3.ExtensionConfigSource{
		ConfigSource: &corev3.ConfigSource{
			ResourceApiVersion: corev3.ApiVersion_V3,
			ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{
				PathConfigSource: &corev3.PathConfigSource{Path: path},
			},
		},
		TypeUrls: []string{wasmTypeURL},
	}
}
