package istio

import (
	"fmt"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	networkingv1alpha3 "istio.io/api/networking/v1alpha3"

	"github.com/weir-mesh/weir/envoy/render"
)

const (
	filterComment = `What a WasmPlugin can't say, in this order:
- A client must not send x-weir- headers: they are removed before the route is chosen.
- resolve_route stands right before the filter, which decides by the cluster of the route: a filter before it that changed
  the request (ext_authz, jwt_authn) leaves the route open. Versions of Istio give the filter of a WasmPlugin one of three
  names; the patches of the others do nothing.
`
	filterAdminComment = `- The admin listener on the loopback address of each pod (weir status, the live page), with the filter in the same VM:
  kubectl port-forward POD %[1]s, then weir status http://127.0.0.1:%[1]s
`
	filterRouteComment = `- The delays between retries. The filter tells Envoy for each request how often to retry, by the budget of the policy.
`
	managerName = "envoy.filters.network.http_connection_manager"
	managerType = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	adminName   = "weir_admin"
	// fetchTimeout is how long the agent may take for the module, as istiod itself allows for a WasmPlugin.
	fetchTimeout = 30 * time.Second
)

// envoyFilter has all patches for the proxies of the WasmPlugin.
func (o Options) envoyFilter(routes []routePatch) (Object, error) {
	f := &networkingv1alpha3.EnvoyFilter{TargetRefs: o.targetRefs()}
	if len(o.Selector) > 0 {
		f.WorkloadSelector = &networkingv1alpha3.WorkloadSelector{Labels: o.Selector}
	}
	comment := filterComment
	makers := []func() ([]*patch, error){o.stripHeaders, o.resolveRoute}
	if o.Admin != "" {
		makers = append(makers, o.adminListener)
		comment += fmt.Sprintf(filterAdminComment, o.Admin[strings.LastIndexByte(o.Admin, ':')+1:])
	}
	if len(routes) > 0 {
		makers = append(makers, func() ([]*patch, error) { return o.backOff(routes) })
		comment += filterRouteComment
	}
	if len(o.Chosen) > 0 {
		makers = append(makers, o.choose)
		comment += chosenComment
	}
	for _, make := range makers {
		patches, err := make()
		if err != nil {
			return Object{}, err
		}
		f.ConfigPatches = append(f.ConfigPatches, patches...)
	}
	return o.Object("networking.istio.io/v1alpha3", "EnvoyFilter", "", comment, f), nil
}

type (
	patch   = networkingv1alpha3.EnvoyFilter_EnvoyConfigObjectPatch
	match   = networkingv1alpha3.EnvoyFilter_EnvoyConfigObjectMatch
	context = networkingv1alpha3.EnvoyFilter_PatchContext
	manager = networkingv1alpha3.EnvoyFilter_ListenerMatch_FilterChainMatch
)

// contexts are the proxies and directions that the filter is in: a gateway is a client of what it leads to.
func (o Options) contexts() []context {
	switch {
	case len(o.Targets) > 0:
		return []context{networkingv1alpha3.EnvoyFilter_ANY} // the targets alone decide
	case o.side() == SideServer:
		return []context{networkingv1alpha3.EnvoyFilter_SIDECAR_INBOUND}
	case o.side() == SideClient:
		return []context{networkingv1alpha3.EnvoyFilter_SIDECAR_OUTBOUND, networkingv1alpha3.EnvoyFilter_GATEWAY}
	default:
		return []context{
			networkingv1alpha3.EnvoyFilter_SIDECAR_OUTBOUND, networkingv1alpha3.EnvoyFilter_GATEWAY,
			networkingv1alpha3.EnvoyFilter_SIDECAR_INBOUND,
		}
	}
}

// httpFilter matches an HTTP connection manager, or a filter in it.
func httpFilter(in context, subFilter string) *match {
	f := &networkingv1alpha3.EnvoyFilter_ListenerMatch_FilterMatch{Name: managerName}
	if subFilter != "" {
		f.SubFilter = &networkingv1alpha3.EnvoyFilter_ListenerMatch_SubFilterMatch{Name: subFilter}
	}
	return &match{Context: in, ObjectTypes: &networkingv1alpha3.EnvoyFilter_EnvoyConfigObjectMatch_Listener{
		Listener: &networkingv1alpha3.EnvoyFilter_ListenerMatch{FilterChain: &manager{Filter: f}},
	}}
}

func (o Options) stripHeaders() (patches []*patch, err error) {
	strip, err := render.StripClientHeaders(o.Document)
	if err != nil {
		return nil, err
	}
	value, err := merged(managerName, managerType, &hcmv3.HttpConnectionManager{
		EarlyHeaderMutationExtensions: []*corev3.TypedExtensionConfig{strip},
	})
	if err != nil {
		return nil, err
	}
	for _, in := range o.contexts() {
		patches = append(patches, &patch{
			ApplyTo: networkingv1alpha3.EnvoyFilter_NETWORK_FILTER, Match: httpFilter(in, ""),
			Patch: &networkingv1alpha3.EnvoyFilter_Patch{Operation: networkingv1alpha3.EnvoyFilter_Patch_MERGE, Value: value},
		})
	}
	return patches, nil
}

func (o Options) resolveRoute() (patches []*patch, err error) {
	resolver, err := render.RouteResolver()
	if err != nil {
		return nil, err
	}
	value, err := asStruct(resolver)
	if err != nil {
		return nil, err
	}
	for _, name := range o.filterNames() {
		patches = append(patches, &patch{
			ApplyTo: networkingv1alpha3.EnvoyFilter_HTTP_FILTER,
			Match:   httpFilter(networkingv1alpha3.EnvoyFilter_ANY, name), // the filter's name is where the plugin is
			Patch:   &networkingv1alpha3.EnvoyFilter_Patch{Operation: networkingv1alpha3.EnvoyFilter_Patch_INSERT_BEFORE, Value: value},
		})
	}
	return patches, nil
}

// filterNames are what versions of Istio call the filter of the WasmPlugin.
func (o Options) filterNames() []string {
	plugin := o.Namespace + "." + o.Name
	return []string{
		"extenstions.istio.io/wasmplugin/" + plugin,                                       // up to 1.25, with Istio's own misspelling
		"extensions.istio.io/wasmplugin/" + plugin,                                        // 1.26 to 1.29
		"extensions.istio.io/trafficextension/" + plugin + "~istio-translated-wasmplugin", // since 1.30
	}
}

// adminListener is a listener whose filter comes by ECDS like a WasmPlugin's, so that the agent fetches the module.
func (o Options) adminListener() ([]*patch, error) {
	r := render.Options{Policy: o.Policy, Document: o.Document, Admin: o.Admin, AdminHosts: o.AdminHosts, Env: o.Env, HostEnv: o.HostEnv}
	config, err := render.AdminFilter(r)
	if err != nil {
		return nil, err
	}
	if err := o.likeThePlugin(config); err != nil {
		return nil, err
	}
	extension, err := asStruct(config)
	if err != nil {
		return nil, err
	}
	listener, err := render.AdminListener(r, &hcmv3.HttpFilter{
		Name: adminName,
		ConfigType: &hcmv3.HttpFilter_ConfigDiscovery{ConfigDiscovery: &corev3.ExtensionConfigSource{
			ConfigSource: &corev3.ConfigSource{
				ResourceApiVersion:    corev3.ApiVersion_V3,
				ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
				InitialFetchTimeout:   durationpb.New(0), // wait for it, as for a WasmPlugin
			},
			TypeUrls: []string{config.GetTypedConfig().GetTypeUrl(), rbacType},
		}},
	})
	if err != nil {
		return nil, err
	}
	value, err := asStruct(listener)
	if err != nil {
		return nil, err
	}
	patches := []*patch{{
		ApplyTo: networkingv1alpha3.EnvoyFilter_EXTENSION_CONFIG, Match: &match{},
		Patch: &networkingv1alpha3.EnvoyFilter_Patch{Operation: networkingv1alpha3.EnvoyFilter_Patch_ADD, Value: extension},
	}}
	contexts := o.contexts()
	if o.side() == SideBoth { // a sidecar has one such listener
		contexts = []context{networkingv1alpha3.EnvoyFilter_SIDECAR_OUTBOUND, networkingv1alpha3.EnvoyFilter_GATEWAY}
	}
	for _, in := range contexts {
		patches = append(patches, &patch{
			ApplyTo: networkingv1alpha3.EnvoyFilter_LISTENER, Match: &match{Context: in},
			Patch: &networkingv1alpha3.EnvoyFilter_Patch{Operation: networkingv1alpha3.EnvoyFilter_Patch_ADD, Value: value},
		})
	}
	return patches, nil
}

// rbacType is what the agent sends in place of the filter if it can't fetch the module.
const rbacType = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"

// likeThePlugin gives the filter the VM that Istio gives to the WasmPlugin: no vm_id, the same code and environment.
func (o Options) likeThePlugin(config *corev3.TypedExtensionConfig) error {
	filter := &wasmfilterv3.Wasm{}
	if err := config.GetTypedConfig().UnmarshalTo(filter); err != nil {
		return err
	}
	vm := filter.GetConfig().GetVmConfig()
	vm.VmId = ""
	if path, isFile := strings.CutPrefix(o.Module, "file://"); isFile {
		vm.GetCode().GetLocal().Specifier = &corev3.DataSource_Filename{Filename: path}
	} else {
		vm.Code = &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Remote{Remote: &corev3.RemoteDataSource{
			HttpUri: &corev3.HttpUri{
				Uri: o.Module, Timeout: durationpb.New(fetchTimeout),
				HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: "_"}, // the agent fetches it, not Envoy
			},
			Sha256: o.SHA256,
		}}}
	}
	typed, err := anypb.New(filter)
	config.TypedConfig = typed
	return err
}

// routePatch is the back-off for the routes of a host.
type routePatch struct {
	cluster Cluster
	retry   *routev3.RetryPolicy
}

// backOff merges the delays into the routes that Istio makes of Services and VirtualServices: a VirtualService can't say
// max_delay, nor that Retry-After is obeyed. A virtual host is called HOST:PORT.
func (o Options) backOff(routes []routePatch) (patches []*patch, err error) {
	for _, r := range routes {
		value, err := asStruct(&routev3.Route{Action: &routev3.Route_Route{Route: &routev3.RouteAction{RetryPolicy: r.retry}}})
		if err != nil {
			return nil, err
		}
		host := &networkingv1alpha3.EnvoyFilter_RouteConfigurationMatch_VirtualHostMatch{Name: r.cluster.Host + ":" + r.cluster.Port}
		if r.cluster.Port == "*" {
			host = &networkingv1alpha3.EnvoyFilter_RouteConfigurationMatch_VirtualHostMatch{DomainName: r.cluster.Host}
		}
		for _, in := range o.contexts() {
			patches = append(patches, &patch{
				ApplyTo: networkingv1alpha3.EnvoyFilter_HTTP_ROUTE,
				Match: &match{Context: in, ObjectTypes: &networkingv1alpha3.EnvoyFilter_EnvoyConfigObjectMatch_RouteConfiguration{
					RouteConfiguration: &networkingv1alpha3.EnvoyFilter_RouteConfigurationMatch{Vhost: host},
				}},
				Patch: &networkingv1alpha3.EnvoyFilter_Patch{Operation: networkingv1alpha3.EnvoyFilter_Patch_MERGE, Value: value},
			})
		}
	}
	return patches, nil
}

// asStruct is an Envoy message as an EnvoyFilter holds it.
func asStruct(m proto.Message) (*structpb.Struct, error) {
	asJSON, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	s := &structpb.Struct{}
	return s, protojson.Unmarshal(asJSON, s)
}

// merged is a network filter's config to be merged with what is there.
func merged(name, typeURL string, m proto.Message) (*structpb.Struct, error) {
	config, err := asStruct(m)
	if err != nil {
		return nil, err
	}
	config.Fields["@type"] = structpb.NewStringValue(typeURL)
	return &structpb.Struct{Fields: map[string]*structpb.Value{
		"name": structpb.NewStringValue(name), "typed_config": structpb.NewStructValue(config),
	}}, nil
}
