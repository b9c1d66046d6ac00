package gateway

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/envoy/gateway"
	"github.com/weir-mesh/weir/envoy/kube"
	"github.com/weir-mesh/weir/envoy/kube/kubetest"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/envoy/run"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/process"
)

// patience is how long anything may take that the control plane does.
const patience = 60 * time.Second

// controlPlane is Envoy Gateway with the Envoy that it has started.
type controlPlane struct {
	t         *testing.T
	process   *process.Process
	resources string            // the folder that it watches
	runs      string            // where the Envoy's run has a folder
	ports     map[string]uint32 // of the Gateway's listeners, by name
}

// newControlPlane starts one with a Gateway shop/eg that has two listeners, an EnvoyProxy from the rendered objects, and other objects.
func newControlPlane(t *testing.T, rendered []kube.Object, objects ...string) *controlPlane {
	t.Helper()
	return start(t, map[string]uint32{"http": engine.FreePort(t), "second": engine.FreePort(t)}, strings.NewReplacer(), rendered, objects...)
}

// start starts one after a change of its own settings and objects.
func start(t *testing.T, ports map[string]uint32, change *strings.Replacer, rendered []kube.Object, objects ...string) *controlPlane {
	t.Helper()
	binary := os.Getenv("ENVOY_GATEWAY_BIN")
	if binary == "" {
		t.Fatal("ENVOY_GATEWAY_BIN: no path of envoy-gateway: `make test-gateway` builds it and says where it is")
	}
	for _, port := range []string{"8081", "18000", "18001", "18002", "19001", "19003"} {
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			t.Fatalf("Envoy Gateway has fixed ports, and one is taken: %v", err)
		}
		_ = listener.Close()
	}
	envoy, version := anEnvoy(t)
	dir := t.TempDir()
	c := &controlPlane{
		t: t, resources: filepath.Join(dir, "resources"), runs: filepath.Join(dir, "runs"),
		ports: ports,
	}
	config := filepath.Join(dir, "config")
	for path, content := range map[string]string{
		filepath.Join(dir, "envoy-gateway.yaml"):     fmt.Sprintf(change.Replace(settings), c.resources, config, dir, c.runs),
		filepath.Join(c.resources, "gateway.yaml"):   fmt.Sprintf(change.Replace(aGateway), ports["http"], ports["second"]),
		filepath.Join(c.resources, "modules.yaml"):   fmt.Sprintf(change.Replace(modulesFromHere), filepath.Join(config, "certs", "envoy")),
		filepath.Join(c.resources, "upstreams.yaml"): strings.Join(objects, "\n---\n"),
		filepath.Join(c.resources, "weir.yaml"):      text(t, rendered),
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// Where it looks for an Envoy before it fetches one.
	bin := filepath.Join(dir, "envoy-versions", version, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(envoy, filepath.Join(bin, "envoy")); err != nil {
		t.Fatal(err)
	}
	environment := append(os.Environ(), "HOME="+dir) // which keeps the modules that it has fetched
	certificates := exec.CommandContext(t.Context(), binary, "certgen", "--local", "--config-home", config)
	certificates.Env = environment
	if out, err := certificates.CombinedOutput(); err != nil {
		t.Fatalf("envoy-gateway certgen: %v\n%s", err, out)
	}
	server := exec.Command(binary, "server", "--config-path", filepath.Join(dir, "envoy-gateway.yaml")) //nolint:noctx // ended below
	server.Env = environment
	var err error
	if c.process, err = process.Start(server, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	return c
}

// stop ends Envoy Gateway, which ends its Envoy.
func (c *controlPlane) stop() {
	_ = syscall.Kill(c.process.PID(), syscall.SIGTERM)
	select {
	case <-c.process.Done():
	case <-time.After(patience):
		c.process.Kill()
		c.t.Errorf("Envoy Gateway did not end within %s", patience)
	}
	if c.t.Failed() {
		c.t.Log(c.process.Output())
	}
}

// apply changes the rendered objects, as kubectl does.
func (c *controlPlane) apply(objects string) {
	c.t.Helper()
	path := filepath.Join(c.resources, "weir.yaml")
	if err := (render.File{Path: path, Content: []byte(objects)}).Replace(); err != nil {
		c.t.Fatal(err)
	}
}

// anEnvoy is the path and the version of the Envoy to start.
func anEnvoy(t *testing.T) (path, version string) {
	t.Helper()
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	envoy, err := run.FindFrom(root)
	if err != nil {
		t.Fatal(err)
	}
	if version, err = envoy.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	return envoy.Path, version
}

// text is the YAML of objects. The EnvoyProxy is also what tells Envoy Gateway on a machine which Envoy to start.
func text(t *testing.T, objects []kube.Object) string {
	t.Helper()
	for _, o := range objects {
		if spec, ok := o.Spec.(map[string]any); ok && o.Kind == "EnvoyProxy" {
			_, version := anEnvoy(t)
			spec["provider"] = map[string]any{"type": "Host", "host": map[string]any{"envoyVersion": version}}
		}
	}
	text, err := kube.YAML("render gateway", objects)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// rendered are the objects of `weir render gateway` for a policy, with an EnvoyProxy.
func rendered(t *testing.T, policyYAML, module string, change func(*gateway.Options)) []kube.Object {
	t.Helper()
	o := gateway.Defaults()
	o.Namespace, o.Gateway, o.Listeners, o.Module, o.EnvoyProxy = "shop", "eg", []string{"http", "second"}, module, true
	if change != nil {
		change(&o)
	}
	kubetest.Read(t, &o.Options, policyYAML, o.Named, render.Options{HostEnv: o.HostEnv}.Getenv)
	objects, _, err := gateway.Objects(o)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

// upstreamsOf reads NAME=NAMESPACE/ROUTE.
func upstreamsOf(t *testing.T, all ...string) (list []gateway.Upstream) {
	t.Helper()
	for _, s := range all {
		u, err := gateway.ParseUpstream(s)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, u)
	}
	return list
}

const (
	settings = `
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyGateway
gateway: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
provider:
  type: Custom
  custom:
    resource: {type: File, file: {paths: [%q]}}
    infrastructure: {type: Host, host: {configHome: %q, dataHome: %q, stateHome: %[4]q, runtimeDir: %[4]q}}
extensionApis: {enableBackend: true, enableEnvoyPatchPolicy: true}
`
	aGateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: eg}
spec: {controllerName: gateway.envoyproxy.io/gatewayclass-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: eg, namespace: shop}
spec:
  gatewayClassName: eg
  infrastructure: {parametersRef: {group: gateway.envoyproxy.io, kind: EnvoyProxy, name: weir}}
  listeners: [{name: http, protocol: HTTP, port: %d}, {name: second, protocol: HTTP, port: %d}]
`
	// Envoy Gateway's server of modules is at the name of its Service in Kubernetes, and asks for a certificate of /certs. In
	// standalone mode the Secrets have certificates of another authority than that of certgen.
	modulesFromHere = `
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyPatchPolicy
metadata: {name: modules-from-here, namespace: shop}
spec:
  type: JSONPatch
  targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: eg}
  jsonPatches:
  - type: type.googleapis.com/envoy.config.cluster.v3.Cluster
    name: wasm_cluster
    operation: {op: replace, path: /load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/address, value: 127.0.0.1}
  - type: type.googleapis.com/envoy.config.cluster.v3.Cluster
    name: wasm_cluster
    operation:
      op: replace
      path: /transport_socket/typed_config/common_tls_context
      value:
        tls_params: {tls_maximum_protocol_version: TLSv1_3}
        tls_certificates: [{certificate_chain: {filename: "%[1]s/tls.crt"}, private_key: {filename: "%[1]s/tls.key"}}]
        validation_context: {trusted_ca: {filename: "%[1]s/ca.crt"}}
`
)

// backend is an upstream on this machine.
func backend(name string, port uint32) string {
	return fmt.Sprintf(`
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: Backend
metadata: {name: %s, namespace: shop}
spec: {endpoints: [{ip: {address: 127.0.0.1, port: %d}}]}
`, name, port)
}

// route is an HTTPRoute with a hostname of its name, whose rules are given.
func route(name string, rules ...string) string {
	return fmt.Sprintf(`
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: %[1]s, namespace: shop}
spec:
  parentRefs: [{name: eg}]
  hostnames: [%[1]s.example.com]
  rules: [%[2]s]
`, name, strings.Join(rules, ", "))
}

// to is a rule that leads to a backend.
func to(backend string) string {
	return fmt.Sprintf("{backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: %s}]}", backend)
}

// whenCluster is a rule that leads to a backend if the filter's header names a cluster.
func whenCluster(cluster, backend string) string {
	return fmt.Sprintf("{matches: [{headers: [{name: x-weir-cluster, value: %s}]}], backendRefs: [{group: gateway.envoyproxy.io, kind: Backend, name: %s}]}", cluster, backend)
}
