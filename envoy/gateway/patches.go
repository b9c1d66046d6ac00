package gateway

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	wasmfilterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	wasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/wasm/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/envoy/render"
)

const (
	patchComment = `What an EnvoyExtensionPolicy can't say. The operator of Envoy Gateway has to allow such objects, in the ConfigMap envoy-gateway-config
(the Helm chart's config.envoyGateway):
  extensionApis: {enableEnvoyPatchPolicy: true}
Without that the status of this object says Disabled, and nothing of it holds. In this order:
- A client must not send x-weir- headers: they are removed before the route is chosen.
- resolve_route stands right before the filter, which decides by the cluster of the route: a filter before it that changed the
  request (extAuth, jwt) leaves the route open.
- The filter's state belongs to the id of its VM. Envoy Gateway's id is not the same in all ways to run it, so it is replaced.
`
	patchReloadComment = `- After a crash of the filter the next request gets a new VM.
`
	patchRedisComment = `- The cluster of the bridge to Redis.
`
	patchAdminComment = `- The admin listener on the loopback address of each pod, with the filter in the VM of the traffic's (by vm_id), and the cluster from
  which Envoy fetches the module for it.
`
	typeURL      = "type.googleapis.com/"
	listenerType = typeURL + "envoy.config.listener.v3.Listener"
	clusterType  = typeURL + "envoy.config.cluster.v3.Cluster"
	managerName  = "envoy.filters.network.http_connection_manager"
	adminName    = "weir_admin"
	moduleName   = "weir_module"
	// fetchTimeout is how long Envoy may take for the module.
	fetchTimeout = 30 * time.Second
)

// patchPolicy has all patches. A JSON patch of Envoy Gateway reaches into one listener, cluster or route configuration by its name,
// and adds a whole one where its path is missing.
func (o Options) patchPolicy() (kube.Object, error) {
	comment := patchComment
	if !o.FailOpen {
		comment += patchReloadComment
	}
	patches, err := o.listenerPatches()
	if err != nil {
		return kube.Object{}, err
	}
	if o.redisAddress() != "" {
		comment += patchRedisComment
		patch, err := addCluster(o.Document.Redis.Cluster, o.redisAddress())
		if err != nil {
			return kube.Object{}, err
		}
		patches = append(patches, patch)
	}
	if o.Admin != "" {
		comment += patchAdminComment
		admin, err := o.adminPatches()
		if err != nil {
			return kube.Object{}, err
		}
		patches = append(patches, admin...)
	}
	return o.object("EnvoyPatchPolicy", "", comment,
		m{"type": "JSONPatch", "targetRef": o.patchedRef(), "jsonPatches": patches}), nil
}

// listenerPatches are those of HTTP connection managers. A listener of Envoy is called NAMESPACE/GATEWAY/LISTENER by the first
// listener of the Gateway with its port.
func (o Options) listenerPatches() (patches []any, err error) {
	strips, err := render.StripClientHeaders(o.Document)
	if err != nil {
		return nil, err
	}
	strip, err := asJSON(strips)
	if err != nil {
		return nil, err
	}
	resolves, err := render.RouteResolver()
	if err != nil {
		return nil, err
	}
	resolver, err := asJSON(resolves)
	if err != nil {
		return nil, err
	}
	plugin, err := o.pluginChanges()
	if err != nil {
		return nil, err
	}
	for _, name := range o.listenerNames() {
		changes := []change{
			{"..filters[?(@.name=='" + managerName + "')].typed_config", "/early_header_mutation_extensions/-", strip},
			// An add to an element of a list puts the value before it.
			{o.filterPath(), "", resolver},
		}
		for _, c := range append(changes, plugin...) {
			operation := m{"op": "add", "jsonPath": c.at, "value": c.value}
			if c.path != "" {
				operation["path"] = c.path
			}
			patches = append(patches, m{"type": listenerType, "name": name, "operation": operation})
		}
	}
	return patches, nil
}

// listenerNames are Envoy's.
func (o Options) listenerNames() (names []string) {
	for _, l := range o.Listeners {
		names = append(names, o.Namespace+"/"+o.Gateway+"/"+l)
	}
	return append(names, o.EnvoyListeners...)
}

// change is an add to what a JSONPath finds in a listener.
type change struct {
	at, path string
	value    any
}

// filterPath finds the filter in a listener. The name of the HTTP filter is Envoy Gateway's, that of the plugin is ours.
func (o Options) filterPath() string {
	return "..http_filters[?(@.typed_config.config.name=='" + o.Name + "')]"
}

// pluginChanges are those of the filter's own configuration.
func (o Options) pluginChanges() ([]change, error) {
	at := o.filterPath() + ".typed_config.config"
	changes := []change{{at, "/vm_config/vm_id", o.vmID()}}
	if o.FailOpen {
		return changes, nil
	}
	reload, err := asJSON(render.Reload())
	if err != nil {
		return nil, err
	}
	return append(changes, change{at, "/failure_policy", wasmv3.FailurePolicy_FAIL_RELOAD.String()}, change{at, "/reload_config", reload}), nil
}

// vmID is whose shared data the filters have. Envoy Gateway's own is envoyextensionpolicy/NAMESPACE/NAME/wasm/0 in Kubernetes, and
// without its first part in standalone mode, where the objects that it reads have no kind.
func (o Options) vmID() string { return "weir/" + o.Namespace + "/" + o.Name }

func addCluster(name, address string) (any, error) {
	u, err := render.NewUpstream(name, address)
	if err != nil {
		return nil, fmt.Errorf("cluster %s: %w", name, err)
	}
	cluster, err := render.Cluster(u)
	if err != nil {
		return nil, err
	}
	return added(clusterType, name, cluster)
}

func added(kind, name string, message proto.Message) (any, error) {
	value, err := asJSON(message)
	return m{"type": kind, "name": name, "operation": m{"op": "add", "path": "", "value": value}}, err
}

// adminPatches are the admin listener and the cluster of its module.
func (o Options) adminPatches() ([]any, error) {
	r := render.Options{Policy: o.Policy, Document: o.Document, Admin: o.Admin, AdminHosts: o.AdminHosts, HostEnv: o.HostEnv}
	config, err := render.AdminFilter(r)
	if err != nil {
		return nil, err
	}
	if err := o.likeThePlugin(config); err != nil {
		return nil, err
	}
	listener, err := render.AdminListener(r, &hcmv3.HttpFilter{
		Name: adminName, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: config.GetTypedConfig()},
	})
	if err != nil {
		return nil, err
	}
	from, err := o.moduleAddress()
	if err != nil {
		return nil, err
	}
	cluster, err := addCluster(moduleName, from)
	if err != nil {
		return nil, err
	}
	whole, err := added(listenerType, adminName, listener)
	return []any{cluster, whole}, err
}

// moduleAddress is where Envoy fetches the module.
func (o Options) moduleAddress() (string, error) {
	u, err := url.Parse(o.Module)
	if err != nil {
		return "", err
	}
	port := u.Port()
	if u.Scheme == "http" {
		if port == "" {
			port = "80"
		}
		return u.Hostname() + ":" + port, nil
	}
	return strings.TrimSuffix("https://"+u.Hostname()+":"+port, ":"), nil
}

// likeThePlugin gives the filter the state of the traffic's, by its vm_id.
func (o Options) likeThePlugin(config *corev3.TypedExtensionConfig) error {
	filter := &wasmfilterv3.Wasm{}
	if err := config.GetTypedConfig().UnmarshalTo(filter); err != nil {
		return err
	}
	vm := filter.GetConfig().GetVmConfig()
	vm.VmId = o.vmID()
	vm.Code = &corev3.AsyncDataSource{Specifier: &corev3.AsyncDataSource_Remote{Remote: &corev3.RemoteDataSource{
		HttpUri: &corev3.HttpUri{
			Uri: o.Module, Timeout: durationpb.New(fetchTimeout),
			HttpUpstreamType: &corev3.HttpUri_Cluster{Cluster: moduleName},
		},
		Sha256: o.SHA256,
	}}}
	typed, err := anypb.New(filter)
	config.TypedConfig = typed
	return err
}

// asJSON is an Envoy message with the names of the protocol, as Envoy Gateway patches it.
func asJSON(message proto.Message) (any, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(message)
	if err != nil {
		return nil, err
	}
	var tree any
	return tree, json.Unmarshal(text, &tree)
}
