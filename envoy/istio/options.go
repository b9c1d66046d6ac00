package istio

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strings"

	extensionsv1alpha1 "istio.io/api/extensions/v1alpha1"

	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/policy"
)

// Defaults of Options.
const (
	DefaultName      = kube.DefaultName
	DefaultNamespace = "istio-system" // Istio's root namespace
)

// Options says what to render. Policy, Document and Module are required.
type Options struct {
	Policy   []byte           // a JSON object, with Istio's names: see Named
	Document *policy.Document // the decoded Policy

	Name          string // of the objects
	Namespace     string
	RootNamespace string            // of Istio: what is there holds for the whole mesh
	Selector      map[string]string // labels of the workloads; none: all of the namespace, or of the mesh
	Targets       []Target          // a waypoint's or gateway's, instead of Selector

	Module          string // oci://, https://, http:// or file://
	SHA256          string // of the module, or of its image
	ImagePullSecret string
	ImagePullPolicy extensionsv1alpha1.PullPolicy

	Side         Side
	Ports        []uint32 // of the listeners; none: all
	Phase        extensionsv1alpha1.PluginPhase
	Priority     *int32
	FailStrategy extensionsv1alpha1.FailStrategy

	Upstreams []Upstream
	Chosen    []Chosen          // routes and clusters with a policy by name
	Env       map[string]string // variables for ${NAME}
	HostEnv   []string          // variables of the sidecar's environment for ${NAME}

	Admin      string // port of Weir's admin listener on the loopback address, or HOST:PORT; empty: none
	AdminHosts []string

	// Bridge is the image of the weir command, from which a bridge to Redis is deployed beside the objects. Empty: none.
	Bridge string
	// BridgeSecret has REDIS_URL and, if the policy has a token, WEIR_BRIDGE_TOKEN.
	BridgeSecret string
	// Redis is HOST:PORT of a bridge that is there already, instead of Bridge.
	Redis string

	// BootstrapIn are the namespaces of workloads that get the ConfigMap with the labels of metrics.
	BootstrapIn []string
}

// Defaults are the options for a policy about which nothing is said.
func Defaults() Options {
	return Options{
		Name: DefaultName, Namespace: DefaultNamespace, RootNamespace: DefaultNamespace,
		Phase:        extensionsv1alpha1.PluginPhase_STATS, // behind authorization: what that refuses takes no token
		FailStrategy: extensionsv1alpha1.FailStrategy_FAIL_RELOAD,
		BridgeSecret: "weir-redis",
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

var sha256Form = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Check returns every mistake in the options but for the policy's.
func (o Options) Check() error {
	errs := []error{kube.CheckName("name", o.Name), kube.CheckName("namespace", o.Namespace), o.checkModule(), o.checkAdmin()}
	for _, namespace := range o.BootstrapIn {
		errs = append(errs, kube.CheckName("bootstrap namespace", namespace))
	}
	if len(o.Selector) > 0 && len(o.Targets) > 0 {
		errs = append(errs, errors.New("a selector and a target exclude each other: give one of them"))
	}
	if o.Bridge != "" && o.Redis != "" {
		errs = append(errs, errors.New("a bridge to deploy and the address of one that is there exclude each other: give one of them"))
	}
	if o.SHA256 != "" && !sha256Form.MatchString(o.SHA256) {
		errs = append(errs, fmt.Errorf("sha256: want 64 hexadecimal digits, got %q", o.SHA256))
	}
	for _, name := range o.HostEnv {
		if _, both := o.Env[name]; both {
			errs = append(errs, fmt.Errorf("environment variable %s: given with a value and taken from the sidecar's environment; choose one", name))
		}
	}
	if o.Redis != "" {
		u, err := render.NewUpstream("redis", o.Redis)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("redis: %w", err))
		case net.ParseIP(u.Host) != nil:
			errs = append(errs, fmt.Errorf("redis: Istio knows hosts by names, %s is an address: write a ServiceEntry for it with a name", u.Host))
		}
	}
	return errors.Join(errs...)
}

// WhereModulesAre says what a module's URL may be, for those who have given none.
const WhereModulesAre = "No image of Weir is published: push build/weir.wasm to a registry of yours, or serve it by https, and name it: " +
	"oci://HOST/weir:TAG, https://HOST/weir.wasm, or file:///PATH of a file in each proxy's container"

func (o Options) checkModule() error {
	if o.Module == "" {
		return errors.New("the URL of the module is missing. " + WhereModulesAre)
	}
	u, err := url.Parse(o.Module)
	switch {
	case err != nil:
		return fmt.Errorf("module: %w", err)
	case u.Scheme == "file" && (u.Host != "" || u.Path == ""):
		return fmt.Errorf("module %s: a file's URL has three slashes, file:///etc/weir/weir.wasm", o.Module)
	case u.Scheme == "file":
		return nil
	case u.Scheme != "oci" && u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return fmt.Errorf("module %s: want oci://HOST/IMAGE:TAG, https://HOST/PATH or file:///PATH", o.Module)
	}
	return nil
}

func (o Options) checkAdmin() error {
	switch {
	case o.Admin == "":
		return nil
	case o.ImagePullSecret != "":
		// Istio resolves the secret for a WasmPlugin only, and the admin listener's filter comes by an EnvoyFilter.
		return errors.New("the admin listener can't have a module that needs a secret to be pulled: leave it out, or use a module without one")
	}
	if err := (render.Options{Admin: o.Admin, AdminHosts: o.AdminHosts}).CheckAdmin(); err != nil {
		return fmt.Errorf("weir admin: %w", err)
	}
	return nil
}

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
