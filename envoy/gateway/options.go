package gateway

import (
	"errors"
	"fmt"
	"strings"

	"github.com/weir-mesh/weir/envoy/kube"
)

// Options says what to render. Beside what kube needs, Gateway is required. The Namespace is the Gateway's.
type Options struct {
	kube.Options

	Gateway   string
	Listeners []string // of the Gateway, for EnvoyPatchPolicy; of those with one port the first
	Routes    []Target // filter only these, instead of the whole Gateway

	EnvoyListeners []string // listeners of Envoy by their own names, beside Listeners
	GatewayClass   string   // what the patches are for if Gateways are merged; empty: Gateway

	ImagePullPolicy string // Always, IfNotPresent or empty
	FailOpen        bool

	Upstreams []Upstream

	// NoPatches leaves the EnvoyPatchPolicy out, which the operator of Envoy Gateway has to allow.
	NoPatches bool
	// EnvoyProxy adds one with the labels of metrics.
	EnvoyProxy bool
}

// Defaults are the options for a policy about which nothing is said.
func Defaults() Options { return Options{Options: kube.Defaults("default")} }

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

// Check returns every mistake in the options but for the policy's.
func (o Options) Check() error {
	errs := []error{controlPlane.CheckOptions(o.Options), kube.CheckName("gateway", o.Gateway), o.checkPatched()}
	for _, l := range o.Listeners {
		errs = append(errs, kube.CheckName("listener", l))
	}
	if o.GatewayClass != "" {
		errs = append(errs, kube.CheckName("gateway class", o.GatewayClass))
	}
	byHTTP := strings.HasPrefix(o.Module, "https://") || strings.HasPrefix(o.Module, "http://")
	if byHTTP && o.ImagePullSecret != "" {
		errs = append(errs, errors.New("a pull secret is for a module by oci://"))
	}
	// Envoy Gateway serves what it fetched under a path that nobody knows before.
	if o.Admin != "" && (!byHTTP || o.SHA256 == "") {
		errs = append(errs, errors.New("the admin listener's filter is fetched by Envoy itself, which reads no images: give the module by https://, with its sha256"))
	}
	return errors.Join(errs...)
}

// NoModule says what a module's URL may be, to those who have given none.
func NoModule() string { return controlPlane.NoModule() }

func (o Options) checkPatched() error {
	switch {
	case !o.NoPatches && len(o.Listeners)+len(o.EnvoyListeners) == 0:
		return errors.New("the name of a listener of the Gateway is missing, which an EnvoyPatchPolicy needs: add --listener NAME, or --no-patches")
	case o.NoPatches && (o.Admin != "" || o.Bridge != "" || o.Redis != ""):
		return errors.New("the admin listener and the cluster of the bridge to Redis need the EnvoyPatchPolicy: leave out --no-patches")
	}
	return nil
}
