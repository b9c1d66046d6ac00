package istio

import (
	"cmp"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/features"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/mesh"

	wrapperspb "google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/istio"
	"github.com/weir-mesh/weir/envoy/kube/kubetest"
	"github.com/weir-mesh/weir/envoy/render"
)

func TestMain(m *testing.M) {
	// Envoys of Istio have these filters compiled in; the wheel's has not.
	features.MetadataExchange, features.ALPNFilter = false, false
	os.Exit(engine.Main(m))
}

// controlPlane is Istio's, with what is in its config store.
type controlPlane struct {
	*xds.FakeDiscoveryServer
	t    *testing.T
	port int // where sidecars find it
}

// newControlPlane starts one with some services and Sidecars, and with rendered objects.
func newControlPlane(t *testing.T, objects ...string) *controlPlane {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := mesh.DefaultMeshConfig()
	m.EnableAutoMtls = wrapperspb.Bool(false) // no certificates
	server := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{
		MeshConfig:      m,
		ConfigString:    strings.Join(objects, "\n---\n"),
		ListenerBuilder: func() (net.Listener, error) { return listener, nil },
	})
	return &controlPlane{server, t, listener.Addr().(*net.TCPAddr).Port}
}

// apply changes objects that are there, as kubectl does.
func (c *controlPlane) apply(objects string) {
	c.t.Helper()
	for _, changed := range parsed(c.t, objects) {
		before := c.Store().Get(changed.GroupVersionKind, changed.Name, changed.Namespace)
		if before == nil {
			c.t.Fatalf("no %s %s is there", changed.GroupVersionKind.Kind, changed.Name)
		}
		changed.ResourceVersion, changed.CreationTimestamp = before.ResourceVersion, before.CreationTimestamp
		if _, err := c.Store().Update(changed); err != nil {
			c.t.Fatal(err)
		}
	}
}

// parsed is what Istio reads and finds valid of objects; those of Kubernetes itself are left out.
func parsed(t *testing.T, objects string) []config.Config {
	t.Helper()
	configs, _, err := crd.ParseInputs(objects)
	if err != nil {
		t.Fatalf("Istio refuses: %v\n%s", err, objects)
	}
	return configs
}

// service is a ServiceEntry whose endpoint is an upstream on this machine.
func service(host string, port uint32, at uint32) string {
	return fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: %q, namespace: istio-system}
spec:
  hosts: [%q]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: %d, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: %d}}]
`, host, host, port, at)
}

// outboundAt makes the sidecars of an app listen on a loopback address for what they send to a port, and to no other: those
// they would bind on 127.0.0.1 all together.
func outboundAt(app, address string, port uint32) string {
	return fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: %q, namespace: shop}
spec:
  workloadSelector: {labels: {app: %s}}
  egress:
  - port: {number: %d, name: http, protocol: HTTP}
    bind: %s
    captureMode: NONE
    hosts: ["*/*"]
`, app, app, port, address)
}

// rendered is the output of `weir render istio` for a policy, and its bootstrap for sidecars.
func rendered(t *testing.T, policyYAML string, change func(*istio.Options)) (objects, bootstrap string) {
	t.Helper()
	module, err := repo.Module("weir")
	if err != nil {
		t.Fatal(err)
	}
	o := istio.Defaults()
	o.Module = "file://" + module
	o.BootstrapIn = []string{"shop"}
	if change != nil {
		change(&o)
	}
	kubetest.Read(t, &o.Options, policyYAML, o.Named, render.Options{Env: o.Env, HostEnv: o.HostEnv}.Getenv)
	list, _, err := istio.Objects(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range list {
		if data, ok := object.Data.(map[string]string); ok {
			bootstrap = data["custom_bootstrap.json"]
		}
	}
	text, err := istio.YAML(list)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), bootstrap
}

// upstreamsOf reads NAME=HOST:PORT.
func upstreamsOf(t *testing.T, all ...string) (list []istio.Upstream) {
	t.Helper()
	for _, s := range all {
		u, err := istio.ParseUpstream(s)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, u)
	}
	return list
}

// pricing is a host in the mesh with one upstream behind it.
type pricing struct {
	*upstream.Upstream
	host string
	port uint32 // of the service, and of the sidecar's listener
}

func newPricing(t *testing.T, host string, port uint32) pricing {
	u := upstream.New(t)
	return pricing{u, host, cmp.Or(port, engine.FreePort(t))}
}

func (p pricing) service() string { return service(p.host, p.port, p.Port()) }
func (p pricing) address() string { return fmt.Sprintf("%s:%d", p.host, p.port) }
func (p pricing) cluster() string { return fmt.Sprintf("outbound|%d||%s", p.port, p.host) }
