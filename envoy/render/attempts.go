package render

import (
	"bytes"
	"encoding/json"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	internalv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/bootstrap/internal_listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	customheaderv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/original_ip_detection/custom_header/v3"
	internalupstreamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/internal_upstream/v3"
	rawbufferv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/header"
)

// With `driver: filter` the filter makes further attempts itself. Each goes through an internal listener that has the
// same routes as the traffic, so that it reaches upstream as the first attempt did:
//
//	client ──► traffic: Weir, router ──────────────────────────────────────────────────────► upstream
//	                     │ first attempt failed                                                 ▲
//	                     └──► cluster weir_attempts ──► listener weir_attempts: Weir, router ───┘
//	                          (retry.via)               ({"attempts": {}})    the same routes
//
// Weir in that listener admits nothing but these attempts, and ends a response that Weir in the other could not pass on.

// AttemptsName is the name of the internal listener for further attempts, and of the cluster that leads to it. It is the
// retry.via of rendered policies.
const AttemptsName = "weir_attempts"

const attemptsPolicy = `{"attempts": {}}`

// WithVia is a policy, a JSON object, in which each retry section with driver filter has a `via`. One that can't be read
// stays as it is; its reader reports why.
func WithVia(document []byte) []byte {
	root := map[string]json.RawMessage{}
	if !bytes.Contains(document, []byte(`"driver"`)) || json.Unmarshal(document, &root) != nil {
		return document
	}
	changed := false
	for _, key := range []string{"clusters", "policies"} {
		policies := map[string]json.RawMessage{}
		if json.Unmarshal(root[key], &policies) != nil {
			continue
		}
		some := false
		for name := range policies {
			some = addVia(policies, name) || some
		}
		if some {
			changed = setMember(root, key, policies) || changed
		}
	}
	changed = addVia(root, "default") || changed
	if !changed {
		return document
	}
	raw, err := json.Marshal(root)
	if err != nil {
		return document
	}
	return raw
}

// addVia adds the missing via to the policy that is this member of in.
func addVia(in map[string]json.RawMessage, name string) (added bool) {
	var rules, retry map[string]json.RawMessage
	var driver string
	if json.Unmarshal(in[name], &rules) != nil || json.Unmarshal(rules["retry"], &retry) != nil ||
		json.Unmarshal(retry["driver"], &driver) != nil || driver == "envoy" || retry["via"] != nil {
		return false // a driver of a variable may be the filter; with the router, via means nothing
	}
	return setMember(retry, "via", AttemptsName) && setMember(rules, "retry", retry) && setMember(in, name, rules)
}

func setMember(in map[string]json.RawMessage, name string, value any) (ok bool) {
	raw, err := json.Marshal(value)
	if err == nil {
		in[name] = raw
	}
	return err == nil
}

// makesAttempts reports whether a policy's further attempts go through the internal listener.
func (o Options) makesAttempts() (makes bool) {
	if o.Document == nil {
		return false
	}
	o.Document.Each(func(_ string, p *policy.Policy) {
		makes = makes || p.Retry != nil && p.Retry.Driver == policy.DriverFilter && p.Retry.Via == AttemptsName
	})
	return makes
}

// attemptsListener has the routes of the traffic. A request comes to it with the headers that the traffic's listener has
// made of the client's, so nothing here adds to them or takes from them.
func attemptsListener(o Options) (*listenerv3.Listener, error) {
	o.Policy, o.StringValue = []byte(attemptsPolicy), false
	weir, err := filterNamed(AttemptsName, o)
	if err != nil {
		return nil, err
	}
	router, err := routerFilter()
	if err != nil {
		return nil, err
	}
	// Route, access log and limits see the client's address, which the filter says.
	client, err := anypb.New(&customheaderv3.CustomHeaderConfig{HeaderName: header.AttemptClient})
	if err != nil {
		return nil, err
	}
	l, err := httpListener(AttemptsName, nil, &hcmv3.HttpConnectionManager{
		StatPrefix:     AttemptsName,
		CodecType:      hcmv3.HttpConnectionManager_HTTP2,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: routes(o)},
		HttpFilters: []*hcmv3.HttpFilter{
			{Name: AttemptsName, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: weir.GetTypedConfig()}},
			router,
		},
		OriginalIpDetectionExtensions: []*corev3.TypedExtensionConfig{{
			Name: "envoy.http.original_ip_detection.custom_header", TypedConfig: client,
		}},
		InternalAddressConfig:      noInternalAddresses(),
		GenerateRequestId:          wrapperspb.Bool(false),
		ForwardClientCertDetails:   hcmv3.HttpConnectionManager_ALWAYS_FORWARD_ONLY,
		ServerHeaderTransformation: hcmv3.HttpConnectionManager_PASS_THROUGH,
	})
	if err != nil {
		return nil, err
	}
	l.ListenerSpecifier = &listenerv3.Listener_InternalListener{InternalListener: &listenerv3.Listener_InternalListenerConfig{}}
	return l, nil
}

// attemptsCluster leads to the internal listener, over HTTP/2: one connection for each worker.
func attemptsCluster() (*clusterv3.Cluster, error) {
	raw, err := anypb.New(&rawbufferv3.RawBuffer{})
	if err != nil {
		return nil, err
	}
	socket, err := anypb.New(&internalupstreamv3.InternalUpstreamTransport{
		TransportSocket: &corev3.TransportSocket{
			Name: "envoy.transport_sockets.raw_buffer", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: raw},
		},
	})
	if err != nil {
		return nil, err
	}
	options, err := anypb.New(&httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: Upstream{HTTP2: true}.protocol()},
	})
	if err != nil {
		return nil, err
	}
	return &clusterv3.Cluster{
		Name:                 AttemptsName,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:       durationpb.New(connectTimeout),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: AttemptsName,
			Endpoints: []*endpointv3.LocalityLbEndpoints{{
				LbEndpoints: []*endpointv3.LbEndpoint{{
					HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: &corev3.Address{
						Address: &corev3.Address_EnvoyInternalAddress{EnvoyInternalAddress: &corev3.EnvoyInternalAddress{
							AddressNameSpecifier: &corev3.EnvoyInternalAddress_ServerListenerName{ServerListenerName: AttemptsName},
						}},
					}}},
				}},
			}},
		},
		TransportSocket: &corev3.TransportSocket{
			Name:       "envoy.transport_sockets.internal_upstream",
			ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: socket},
		},
		TypedExtensionProtocolOptions: map[string]*anypb.Any{httpProtocolOptions: options},
	}, nil
}

// addInternalListeners lets the Envoy of a policy that needs it have internal listeners.
func addInternalListeners(b *bootstrapv3.Bootstrap, o Options) error {
	if !o.makesAttempts() {
		return nil
	}
	typed, err := anypb.New(&internalv3.InternalListener{})
	b.BootstrapExtensions = append(b.BootstrapExtensions,
		&corev3.TypedExtensionConfig{Name: "envoy.bootstrap.internal_listener", TypedConfig: typed})
	return err
}
