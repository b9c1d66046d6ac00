package istio

import (
	"fmt"

	"github.com/weir-mesh/weir/envoy/kube"
)

// Object is one Kubernetes object.
type Object = kube.Object

// YAML writes all objects into one file for kubectl apply -f.
func YAML(objects []Object) ([]byte, error) { return kube.YAML("render istio", objects) }

// Objects are all that enforce the policy, in the order in which they are best applied: the filter is last. The warnings
// are about what it can't enforce as a rendered Envoy would.
func Objects(o Options) (objects []Object, warnings []string, err error) {
	if err := o.Check(); err != nil {
		return nil, nil, err
	}
	if err := o.checkPolicy(); err != nil {
		return nil, nil, err
	}
	byHost, warnings := o.hosts()
	warnings = append(append(warnings, o.unchosen()...), kube.Unused(o.Document, o.Upstreams)...)
	for _, pattern := range o.unmatched() {
		warnings = append(warnings, fmt.Sprintf("the filter is only where %s has no requests; render with --side both", pattern))
	}
	objects = o.bridge()
	for _, namespace := range o.BootstrapIn {
		data, err := bootstrapJSON()
		if err != nil {
			return nil, nil, err
		}
		object := o.Object("v1", "ConfigMap", "-bootstrap", "", nil)
		object.Comment = fmt.Sprintf(bootstrapComment, object.Metadata.Name)
		object.Metadata.Namespace = namespace
		object.Data = map[string]string{"custom_bootstrap.json": data}
		objects = append(objects, object)
	}
	objects = append(objects, o.destinationRules(byHost)...)
	objects = append(objects, o.virtualServices(byHost)...)
	patches, err := o.envoyFilter(routePatches(byHost))
	if err != nil {
		return nil, nil, err
	}
	plugin, err := o.wasmPlugin()
	if err != nil {
		return nil, nil, err
	}
	objects = append(objects, patches, plugin)
	return objects, warnings, kube.CheckNames(objects)
}

// Chart is the Helm chart of the objects. Whether they hold for the whole mesh is not for its values to say.
func Chart(o Options) (kube.Chart, []string, error) {
	plain, warnings, err := Objects(o)
	if err != nil {
		return kube.Chart{}, nil, err
	}
	chart := kube.Chart{Command: "render istio", Options: o.Options, Plain: plain, PolicyAt: []string{"pluginConfig"}}
	meshWide := o.Namespace == o.RootNamespace
	o.Options = o.WithMarks(false)
	if meshWide {
		o.RootNamespace = o.Namespace
	}
	if o.Bridge != "" {
		chart.RedisCluster = o.redisCluster()
	}
	chart.Marked = func() ([]Object, error) {
		marked, _, err := Objects(o)
		return marked, err
	}
	return chart, warnings, nil
}
