package istio

import (
	"errors"
	"fmt"
	"net"
	"strings"

	extensionsv1alpha1 "istio.io/api/extensions/v1alpha1"

	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/envoy/render"
)

// DefaultNamespace is Istio's root namespace.
const DefaultNamespace = "istio-system"

// Options says what to render. What is in RootNamespace holds for the whole mesh.
type Options struct {
	kube.Options

	RootNamespace string            // of Istio
	Selector      map[string]string // labels of the workloads; none: all of the namespace, or of the mesh
	Targets       []Target          // a waypoint's or gateway's, instead of Selector

	ImagePullPolicy extensionsv1alpha1.PullPolicy

	Side         Side
	Ports        []uint32 // of the listeners; none: all
	Phase        extensionsv1alpha1.PluginPhase
	Priority     *int32
	FailStrategy extensionsv1alpha1.FailStrategy

	Upstreams []Upstream
	Chosen    []Chosen          // routes and clusters with a policy by name
	Env       map[string]string // variables for ${NAME}

	// BootstrapIn are the namespaces of workloads that get the ConfigMap with the labels of metrics.
	BootstrapIn []string
}

// Defaults are the options for a policy about which nothing is said.
func Defaults() Options {
	return Options{
		Options: kube.Defaults(DefaultNamespace), RootNamespace: DefaultNamespace,
		Phase:        extensionsv1alpha1.PluginPhase_STATS, // behind authorization: what that refuses takes no token
		FailStrategy: extensionsv1alpha1.FailStrategy_FAIL_RELOAD,
		Env:          map[string]string{}, Selector: map[string]string{},
	}
}

// Side is which requests are filtered.
type Side uint8

// The sides.
const (
	SideByPolicy Side = iota // what the names in the policy say
	SideClient               // requests that a workload makes, and those through a gateway
	SideServer               // requests that a workload gets
	SideBoth
)

// Target is what targetRefs name: Gateway/NAME, Service/NAME, ServiceEntry/NAME.
type Target struct{ Kind, Name string }

// groups are the API groups of the kinds that a plugin can be for.
var groups = map[string]string{
	"Gateway":      "gateway.networking.k8s.io",
	"GatewayClass": "gateway.networking.k8s.io",
	"Service":      "",
	"ServiceEntry": "networking.istio.io",
}

// ParseTarget reads KIND/NAME.
func ParseTarget(s string) (Target, error) {
	kind, name, _ := strings.Cut(s, "/")
	if _, known := groups[kind]; !known {
		return Target{}, fmt.Errorf("want Gateway/NAME, GatewayClass/NAME, Service/NAME or ServiceEntry/NAME, got %q", s)
	}
	return Target{kind, name}, kube.CheckName("target", name)
}

// Check returns every mistake in the options but for the policy's.
func (o Options) Check() error {
	errs := []error{controlPlane.CheckOptions(o.Options)}
	for _, namespace := range o.BootstrapIn {
		errs = append(errs, kube.CheckName("bootstrap namespace", namespace))
	}
	if len(o.Selector) > 0 && len(o.Targets) > 0 {
		errs = append(errs, errors.New("a selector and a target exclude each other: give one of them"))
	}
	for _, name := range o.HostEnv {
		if _, both := o.Env[name]; both {
			errs = append(errs, fmt.Errorf("environment variable %s: given with a value and taken from the sidecar's environment; choose one", name))
		}
	}
	if u, err := render.NewUpstream("redis", o.Redis); o.Redis != "" && err == nil && net.ParseIP(u.Host) != nil {
		errs = append(errs, fmt.Errorf("redis: Istio knows hosts by names, %s is an address: write a ServiceEntry for it with a name", u.Host))
	}
	if o.Admin != "" && o.ImagePullSecret != "" {
		// Istio resolves the secret for a WasmPlugin only, and the admin listener's filter comes by an EnvoyFilter.
		errs = append(errs, errors.New("the admin listener can't have a module that needs a secret to be pulled: leave it out, or use a module without one"))
	}
	return errors.Join(errs...)
}

// NoModule says what a module's URL may be, to those who have given none.
func NoModule() string { return controlPlane.NoModule() }

// side is SideByPolicy resolved: what the names in the policy are.
func (o Options) side() Side {
	if o.Side != SideByPolicy {
		return o.Side
	}
	client, server := o.Document.Default != nil, false
	for _, c := range o.Document.Clusters {
		in := strings.HasPrefix(c.Pattern, inbound) || c.Pattern == "InboundPassthroughCluster"
		client, server = client || !in, server || in
	}
	switch {
	case client && server:
		return SideBoth
	case server:
		return SideServer
	default:
		return SideClient
	}
}

// unmatched are patterns whose direction is not that of the side, sorted as in the policy.
func (o Options) unmatched() (patterns []string) {
	other := map[Side]string{SideClient: inbound + "|", SideServer: outbound + "|"}[o.side()]
	if other == "" || len(o.Targets) > 0 {
		return nil
	}
	for _, c := range o.Document.Clusters {
		if strings.HasPrefix(c.Pattern, other) {
			patterns = append(patterns, c.Pattern)
		}
	}
	return patterns
}
