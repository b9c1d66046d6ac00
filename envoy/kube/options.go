package kube

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/policy"
)

// Options are what the objects for each control plane need alike. Policy, Document and Module are required.
type Options struct {
	Policy   []byte           // a JSON object, with the control plane's names: see Named
	Document *policy.Document // the decoded Policy

	Name      string // of the objects
	Namespace string

	Module          string // its URL
	SHA256          string // of the module, or of its image
	ImagePullSecret string

	HostEnv []string // variables of Envoy's environment for ${NAME}

	Admin      string // port of Weir's admin listener on the loopback address, or HOST:PORT; empty: none
	AdminHosts []string

	Bridge       string // image of the weir command, from which a bridge to Redis is deployed; empty: none
	BridgeSecret string // has REDIS_URL and, if the policy has a token, WEIR_BRIDGE_TOKEN
	Redis        string // HOST:PORT of a bridge that is there already, instead of Bridge
}

// Defaults are the options for a policy about which nothing is said.
func Defaults(namespace string) Options {
	return Options{Name: DefaultName, Namespace: namespace, BridgeSecret: "weir-redis"}
}

var sha256Form = regexp.MustCompile(`^[0-9a-f]{64}$`)

// CheckOptions returns every mistake in the options but for the policy's.
func (c ControlPlane) CheckOptions(o Options) error {
	errs := []error{CheckName("name", o.Name), CheckName("namespace", o.Namespace), c.checkModule(o.Module)}
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
	if err := (render.Options{Admin: o.Admin, AdminHosts: o.AdminHosts}).CheckAdmin(); o.Admin != "" && err != nil {
		errs = append(errs, fmt.Errorf("weir admin: %w", err))
	}
	return errors.Join(errs...)
}

const (
	anImage = "oci://HOST/weir:TAG"
	aURL    = "https://HOST/weir.wasm"
	aFile   = "file:///etc/weir/weir.wasm"
)

// modules are the forms that a module's URL may have.
func (c ControlPlane) modules() string {
	if c.Files {
		return anImage + ", " + aURL + " or " + aFile + ", a file in each proxy's container"
	}
	return anImage + " or " + aURL
}

// NoModule says what a module's URL may be, to those who have given none.
func (c ControlPlane) NoModule() string {
	return "No image of Weir is published: push build/weir.wasm to a registry of yours, or serve it by https, and name it: " + c.modules()
}

func (c ControlPlane) checkModule(module string) error {
	if module == "" {
		return errors.New("the URL of the module is missing. " + c.NoModule())
	}
	u, err := url.Parse(module)
	switch {
	case err != nil:
		return fmt.Errorf("module: %w", err)
	case c.Files && u.Scheme == "file" && (u.Host != "" || u.Path == ""):
		return fmt.Errorf("module %s: a file's URL has three slashes, %s", module, aFile)
	case c.Files && u.Scheme == "file":
		return nil
	case !slices.Contains([]string{"oci", "https", "http"}, u.Scheme) || u.Host == "":
		return fmt.Errorf("module %s: want %s", module, c.modules())
	}
	return nil
}

// CheckBridge returns why the options and the policy's section about Redis do not fit together, or nil.
func (o Options) CheckBridge() error {
	redis := o.Document.Redis
	switch {
	case redis == nil && (o.Bridge != "" || o.Redis != ""):
		return errors.New("--bridge or --redis is given, but the policy has no `redis` section: add `redis: {}`")
	case redis != nil && o.Bridge != "" && redis.Dialect != policy.DialectUpstash:
		return errors.New("redis.dialect: weir bridge speaks upstash; write redis: {dialect: upstash}")
	}
	return nil
}

// NewBridge is the bridge to deploy.
func (o Options) NewBridge() Bridge {
	return Bridge{
		Instance: o.Name, Namespace: o.Namespace, Image: o.Bridge, Secret: o.BridgeSecret,
		Token: o.Document != nil && o.hasToken(),
	}
}

// HostKeys are the variables of Envoy's environment, each once.
func (o Options) HostKeys() []string { return slices.Compact(slices.Sorted(slices.Values(o.HostEnv))) }

// Object is one with the names and labels of all that a policy renders.
func (o Options) Object(apiVersion, kind, suffix, comment string, spec any) Object {
	return Object{
		APIVersion: apiVersion, Kind: kind, Spec: spec, Comment: strings.TrimSuffix(comment, "\n"),
		Metadata: Metadata{Name: o.Name + suffix, Namespace: o.Namespace, Labels: Labels(o.Name)},
	}
}
