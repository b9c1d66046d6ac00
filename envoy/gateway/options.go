package gateway

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/policy"
)

// Options says what to render. Policy, Document, Module and Gateway are required.
type Options struct {
	Policy   []byte           // a JSON object, with Envoy Gateway's names: see Named
	Document *policy.Document // the decoded Policy

	Name      string // of the objects
	Namespace string // of the Gateway
	Gateway   string
	Listeners []string // of the Gateway, for EnvoyPatchPolicy; of those with one port the first
	Routes    []Target // filter only these, instead of the whole Gateway

	Module          string // oci://, https:// or http://
	SHA256          string // of the module, or of its image
	ImagePullSecret string
	ImagePullPolicy string // Always, IfNotPresent or empty
	FailOpen        bool

	Upstreams []Upstream
	HostEnv   []string // variables of Envoy's environment for ${NAME}

	// NoPatches leaves the EnvoyPatchPolicy out, which the operator of Envoy Gateway has to allow.
	NoPatches bool
	// EnvoyProxy adds one with the labels of metrics.
	EnvoyProxy bool

	Admin      string // port of Weir's admin listener on the loopback address, or HOST:PORT; empty: none
	AdminHosts []string

	Bridge       string // image of the weir command, from which a bridge to Redis is deployed; empty: none
	BridgeSecret string
	Redis        string // HOST:PORT of a bridge that is there already, instead of Bridge
}

// Defaults are the options for a policy about which nothing is said.
func Defaults() Options {
	return Options{Name: kube.DefaultName, Namespace: "default", BridgeSecret: "weir-redis"}
}

// Target is a route: HTTPRoute/NAME or GRPCRoute/NAME.
type Target struct{ Kind, Name string }

// ParseTarget reads KIND/NAME.
func ParseTarget(s string) (Target, error) {
	kind, name, _ := strings.Cut(s, "/")
	if kind != "HTTPRoute" && kind != "GRPCRoute" {
		return Target{}, fmt.Errorf("want HTTPRoute/NAME or GRPCRoute/NAME, got %q", s)
	}
	return Target{kind, name}, kube.CheckName("route", name)
}

var sha256Form = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Check returns every mistake in the options but for the policy's.
func (o Options) Check() error {
	errs := []error{
		kube.CheckName("name", o.Name), kube.CheckName("namespace", o.Namespace), kube.CheckName("gateway", o.Gateway),
		o.checkModule(), o.checkAdmin(), o.checkPatched(),
	}
	for _, l := range o.Listeners {
		errs = append(errs, kube.CheckName("listener", l))
	}
	if o.Bridge != "" && o.Redis != "" {
		errs = append(errs, errors.New("a bridge to deploy and the address of one that is there exclude each other: give one of them"))
	}
	if o.SHA256 != "" && !sha256Form.MatchString(o.SHA256) {
		errs = append(errs, fmt.Errorf("sha256: want 64 hexadecimal digits, got %q", o.SHA256))
	}
	if o.Redis != "" {
		if _, err := render.NewUpstream("redis", o.Redis); err != nil {
			errs = append(errs, fmt.Errorf("redis: %w", err))
		}
	}
	return errors.Join(errs...)
}

// WhereModulesAre says what a module's URL may be, for those who have given none.
const WhereModulesAre = "No image of Weir is published: push build/weir.wasm to a registry of yours, or serve it by https, and name it: " +
	"oci://HOST/weir:TAG or https://HOST/weir.wasm"

func (o Options) checkModule() error {
	if o.Module == "" {
		return errors.New("the URL of the module is missing. " + WhereModulesAre)
	}
	u, err := url.Parse(o.Module)
	switch {
	case err != nil:
		return fmt.Errorf("module: %w", err)
	case u.Scheme != "oci" && u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return fmt.Errorf("module %s: want oci://HOST/IMAGE:TAG or https://HOST/PATH, which Envoy Gateway itself fetches", o.Module)
	case u.Scheme != "oci" && o.ImagePullSecret != "":
		return errors.New("a pull secret is for a module by oci://")
	}
	return nil
}

// checkAdmin: Envoy Gateway serves what it fetches under a path that nobody knows before, so Envoy itself fetches the module for
// the admin listener.
func (o Options) checkAdmin() error {
	switch {
	case o.Admin == "":
		return nil
	case !strings.HasPrefix(o.Module, "https://") && !strings.HasPrefix(o.Module, "http://") || o.SHA256 == "":
		return errors.New("the admin listener's filter is fetched by Envoy itself, which reads no images: give the module by https://, with its sha256")
	}
	if err := (render.Options{Admin: o.Admin, AdminHosts: o.AdminHosts}).CheckAdmin(); err != nil {
		return fmt.Errorf("weir admin: %w", err)
	}
	return nil
}

func (o Options) checkPatched() error {
	switch {
	case !o.NoPatches && len(o.Listeners) == 0:
		return errors.New("the name of a listener of the Gateway is missing, which an EnvoyPatchPolicy needs; or render without patches")
	case o.NoPatches && (o.Admin != "" || o.Bridge != "" || o.Redis != ""):
		return errors.New("the admin listener and the cluster of the bridge to Redis need the EnvoyPatchPolicy: render with patches")
	}
	return nil
}
