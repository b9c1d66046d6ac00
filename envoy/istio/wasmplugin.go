package istio

import (
	"fmt"
	"maps"
	"slices"

	extensionsv1alpha1 "istio.io/api/extensions/v1alpha1"
	typev1beta1 "istio.io/api/type/v1beta1"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const pluginComment = `The filter with its policy. Istio sends pluginConfig to the proxies as JSON, without a restart of theirs. A policy with
mistakes is refused by each proxy's filter, which says so in its log, and the one before stays in force. Istio gives the
VM no id: limits and breakers live in shared data under Weir's own prefix, and outlive changes of this object.
failStrategy FAIL_RELOAD needs Istio 1.25, as the filter itself does.`

// wasmPlugin is the filter.
func (o Options) wasmPlugin() (Object, error) {
	config := &structpb.Struct{}
	if err := protojson.Unmarshal(o.Policy, config); err != nil {
		return Object{}, fmt.Errorf("policy: not a JSON object: %w", err)
	}
	plugin := &extensionsv1alpha1.WasmPlugin{
		TargetRefs:      o.targetRefs(),
		Url:             o.Module,
		Sha256:          o.SHA256,
		ImagePullPolicy: o.ImagePullPolicy,
		ImagePullSecret: o.ImagePullSecret,
		PluginConfig:    config,
		PluginName:      rootID,
		Phase:           o.Phase,
		FailStrategy:    o.FailStrategy,
		Match:           o.match(),
		Type:            extensionsv1alpha1.PluginType_HTTP,
	}
	if len(o.Selector) > 0 {
		plugin.Selector = &typev1beta1.WorkloadSelector{MatchLabels: o.Selector}
	}
	if o.Priority != nil {
		plugin.Priority = wrapperspb.Int32(*o.Priority)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Env)) {
		plugin.VmConfig = withVariable(plugin.VmConfig, &extensionsv1alpha1.EnvVar{Name: name, Value: o.Env[name]})
	}
	for _, name := range o.HostKeys() {
		plugin.VmConfig = withVariable(plugin.VmConfig, &extensionsv1alpha1.EnvVar{Name: name, ValueFrom: extensionsv1alpha1.EnvValueSource_HOST})
	}
	return o.Object("extensions.istio.io/v1alpha1", "WasmPlugin", "", pluginComment, plugin), nil
}

// rootID is the filter's root context, which Istio takes from pluginName.
const rootID = "weir"

func withVariable(c *extensionsv1alpha1.VmConfig, v *extensionsv1alpha1.EnvVar) *extensionsv1alpha1.VmConfig {
	if c == nil {
		c = &extensionsv1alpha1.VmConfig{}
	}
	c.Env = append(c.Env, v)
	return c
}

// match is which listeners get the filter. Those of a target have one direction each; it has no name for a waypoint's.
func (o Options) match() []*extensionsv1alpha1.WasmPlugin_TrafficSelector {
	selector := &extensionsv1alpha1.WasmPlugin_TrafficSelector{}
	if o.Side != SideByPolicy || len(o.Targets) == 0 {
		selector.Mode = map[Side]typev1beta1.WorkloadMode{
			SideClient: typev1beta1.WorkloadMode_CLIENT,
			SideServer: typev1beta1.WorkloadMode_SERVER,
			SideBoth:   typev1beta1.WorkloadMode_CLIENT_AND_SERVER,
		}[o.side()]
	}
	for _, port := range o.Ports {
		selector.Ports = append(selector.Ports, &typev1beta1.PortSelector{Number: port})
	}
	if selector.Mode == typev1beta1.WorkloadMode_UNDEFINED && selector.Ports == nil {
		return nil
	}
	return []*extensionsv1alpha1.WasmPlugin_TrafficSelector{selector}
}

func (o Options) targetRefs() (refs []*typev1beta1.PolicyTargetReference) {
	for _, t := range o.Targets {
		refs = append(refs, &typev1beta1.PolicyTargetReference{Group: groups[t.Kind], Kind: t.Kind, Name: t.Name})
	}
	return refs
}
