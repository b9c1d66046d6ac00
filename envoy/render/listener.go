package render

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// trafficListener is the listener for clients.
func trafficListener(o Options) (*listenerv3.Listener, error) {
	bind, err := socketAddress(o.Listen)
	if err != nil {
		return nil, err
	}
	filters, err := httpFilters(o)
	if err != nil {
		return nil, err
	}
	strip, err := StripClientHeaders(o.Document)
	if err != nil {
		return nil, err
	}
	return httpListener("traffic", bind, &hcmv3.HttpConnectionManager{
		StatPrefix:     "weir",
		CodecType:      hcmv3.HttpConnectionManager_AUTO,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: routes(o)},
		HttpFilters:    filters,
		UpgradeConfigs: []*hcmv3.HttpConnectionManager_UpgradeConfig{{UpgradeType: "websocket"}},
		// Envoy's recommendations for an edge proxy: one resource has one path, and a client can set neither its own
		// address nor `x-envoy-*`.
		// https://www.envoyproxy.io/docs/envoy/latest/configuration/best_practices/edge
		UseRemoteAddress:              wrapperspb.Bool(true),
		InternalAddressConfig:         noInternalAddresses(),
		NormalizePath:                 wrapperspb.Bool(true),
		MergeSlashes:                  true,
		PathWithEscapedSlashesAction:  hcmv3.HttpConnectionManager_UNESCAPE_AND_REDIRECT,
		EarlyHeaderMutationExtensions: []*corev3.TypedExtensionConfig{strip},
	})
}

// noInternalAddresses makes every client an external one, so that Envoy removes its `x-envoy-*` headers: otherwise a
// client could send `x-envoy-max-retries: 1000`. The list must not be empty, since Envoy 1.40 then takes every address
// as internal. No request comes from 255.255.255.255.
func noInternalAddresses() *hcmv3.HttpConnectionManager_InternalAddressConfig {
	return &hcmv3.HttpConnectionManager_InternalAddressConfig{CidrRanges: []*corev3.CidrRange{{
		AddressPrefix: "255.255.255.255", PrefixLen: wrapperspb.UInt32(32),
	}}}
}

func httpListener(name string, bind *corev3.Address, manager *hcmv3.HttpConnectionManager) (*listenerv3.Listener, error) {
	typed, err := anypb.New(manager)
	if err != nil {
		return nil, err
	}
	return &listenerv3.Listener{
		Name:    name,
		Address: bind,
		FilterChains: []*listenerv3.FilterChain{{
			Filters: []*listenerv3.Filter{{
				Name:       "envoy.filters.network.http_connection_manager",
				ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: typed},
			}},
		}},
	}, nil
}

// httpFilters are Weir, inline or by discovery, between the filter that resolves the route and the router.
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
	resolver, err := RouteResolver()
	if err != nil {
		return nil, err
	}
	router, err := routerFilter()
	return []*hcmv3.HttpFilter{resolver, weir, router}, err
}

// resolverName is the name of the filter before Weir. It is not the one that a route's CORS policy is for.
const resolverName = "resolve_route"

// RouteResolver makes Envoy resolve the route right before Weir. A filter that stands before Weir and changes the
// request may clear the route that Envoy resolved at first. Envoy resolves it again when a filter asks for it, which a
// Wasm filter can't: Weir would still see the first route's cluster, and decide by its policy. A CORS filter asks for
// the route of each request, and does nothing more where that has no policy for its name. It is rendered although
// nothing stands before it, since users add filters later. It costs 2,500 instructions a request; set_metadata costs
// 1,400, but asks for the route only in the latest Envoys.
func RouteResolver() (*hcmv3.HttpFilter, error) { return httpFilter(resolverName, &corsv3.Cors{}) }

// routerFilter is the last filter of each chain.
func routerFilter() (*hcmv3.HttpFilter, error) {
	return httpFilter("envoy.filters.http.router", &routerv3.Router{})
}

func httpFilter(name string, config proto.Message) (*hcmv3.HttpFilter, error) {
	typed, err := anypb.New(config)
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: typed}}, err
}

// discovery makes Envoy read the filter's configuration from a file and reload it on change. It has no default_config:
// until the first policy without mistakes is loaded, Envoy answers requests with 500 instead of forwarding them
// unprotected.
func discovery(path string) *corev3.ExtensionConfigSource {
	return &corev3.ExtensionConfigSource{ConfigSource: watchedFile(path), TypeUrls: []string{wasmTypeURL}}
}
