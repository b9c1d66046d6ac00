package gateway

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/policy"
)

const (
	apiVersion = "gateway.envoyproxy.io/v1alpha1"

	pluginComment = `The filter with its policy. A changed policy reaches Envoy without a restart. Envoy Gateway fetches the module, and serves it to
Envoy. failOpen: %s`
)

type m = map[string]any

// Objects are all that enforce the policy, in the order in which they are best applied: the filter is last. The warnings
// are about what the user has to write.
func Objects(o Options) (objects []kube.Object, warnings []string, err error) {
	if err := o.Check(); err != nil {
		return nil, nil, err
	}
	if err := o.checkPolicy(); err != nil {
		return nil, nil, err
	}
	if o.Bridge != "" {
		objects = o.bridge().Objects()
	}
	if o.EnvoyProxy {
		proxy, err := o.envoyProxy()
		if err != nil {
			return nil, nil, err
		}
		objects = append(objects, proxy)
	}
	traffic, warnings := o.trafficPolicies()
	objects = append(objects, traffic...)
	if !o.NoPatches {
		patches, err := o.patchPolicy()
		if err != nil {
			return nil, nil, err
		}
		objects = append(objects, patches)
	}
	for _, n := range o.Document.Policies {
		warnings = append(warnings, fmt.Sprintf("policies.%s: it decides about the requests of routes and clusters whose metadata filter_metadata.weir.policy is %s, which none of the rendered objects writes: an EnvoyPatchPolicy of yours has to", n.Name, n.Name))
	}
	o.Document.Each(func(path string, p *policy.Policy) {
		if p.Failover != nil {
			warnings = append(warnings, fmt.Sprintf("%s: failover needs a match of the header %s in the routes' rules: see docs/envoy-gateway.md", path, p.Failover.Header))
		}
	})
	warnings = append(warnings, kube.Unused(o.Document, o.Upstreams)...)
	objects = append(objects, o.extensionPolicy())
	return objects, warnings, kube.CheckNames(objects)
}

// Chart is the Helm chart of the objects. With the admin listener the module's URL is in a cluster too, in parts.
func Chart(o Options) (kube.Chart, []string, error) {
	plain, warnings, err := Objects(o)
	if err != nil {
		return kube.Chart{}, nil, err
	}
	chart := kube.Chart{Command: "render gateway", Options: o.Options, Plain: plain, FixedModule: o.Admin != "", PolicyAt: []string{"wasm", "0", "config"}}
	o.Options = o.WithMarks(chart.FixedModule)
	chart.Marked = func() ([]kube.Object, error) {
		marked, _, err := Objects(o)
		return marked, err
	}
	return chart, warnings, nil
}

// object is one of Envoy Gateway's with the names and labels of all that a policy renders.
func (o Options) object(kind, suffix, comment string, spec any) kube.Object {
	return o.Object(apiVersion, kind, suffix, comment, spec)
}

func (o Options) gatewayRef() m {
	return m{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": o.Gateway}
}

// patchedRef is what the patches are for.
func (o Options) patchedRef() m {
	if o.GatewayClass == "" {
		return o.gatewayRef()
	}
	return m{"group": "gateway.networking.k8s.io", "kind": "GatewayClass", "name": o.GatewayClass}
}

// extensionPolicy is the filter.
func (o Options) extensionPolicy() kube.Object {
	wasm := m{"name": o.Name, "rootID": rootID, "config": json.RawMessage(o.Policy), "code": o.code(), "failOpen": o.FailOpen}
	if keys := o.HostKeys(); len(keys) > 0 {
		wasm["env"] = m{"hostKeys": keys}
	}
	refs := []any{}
	for _, r := range o.Routes {
		refs = append(refs, m{"group": "gateway.networking.k8s.io", "kind": r.Kind, "name": r.Name})
	}
	if len(refs) == 0 {
		refs = append(refs, o.gatewayRef())
	}
	crash := "after a crash of the filter the next request gets a new VM, by the EnvoyPatchPolicy"
	switch {
	case o.FailOpen:
		crash = "after a crash of the filter in a worker that worker forwards requests without limits"
	case o.NoPatches:
		crash = "after a crash of the filter in a worker that worker answers 503 until the policy changes or Envoy restarts"
	}
	return o.object("EnvoyExtensionPolicy", "", fmt.Sprintf(pluginComment, crash+"."), m{"targetRefs": refs, "wasm": []any{wasm}})
}

// rootID is the filter's root context.
const rootID = "weir"

func (o Options) code() m {
	source := m{}
	if o.SHA256 != "" {
		source["sha256"] = o.SHA256
	}
	code := m{"type": "HTTP", "http": source}
	source["url"] = o.Module
	if image, isImage := strings.CutPrefix(o.Module, "oci://"); isImage {
		code = m{"type": "Image", "image": source}
		source["url"] = image
		if o.ImagePullSecret != "" {
			source["pullSecretRef"] = m{"kind": "Secret", "group": "", "name": o.ImagePullSecret}
		}
	}
	if o.ImagePullPolicy != "" {
		code["pullPolicy"] = o.ImagePullPolicy
	}
	return code
}
