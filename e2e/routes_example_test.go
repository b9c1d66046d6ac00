package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3" // to read the example

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/envoy/render"
)

// TestRoutesExample: the example envoy.yaml, with the filter put in, gives each route the policy that its metadata name.
func TestRoutesExample(t *testing.T) {
	t.Parallel()
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	example := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(root, "envoy", "examples", name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	o := render.Options{}
	if o.Policy, err = policyfile.JSON(example("routes.policy.yaml")); err != nil {
		t.Fatal(err)
	}
	if o.Wasm, err = repo.Module("weir"); err != nil {
		t.Fatal(err)
	}
	whole, warnings, err := render.Into(example("routes.before.yaml"), o)
	if err != nil || len(warnings) > 0 {
		t.Fatalf("got warnings %q, %v", warnings, err)
	}
	bootstrap := &bootstrapv3.Bootstrap{}
	fromYAML(t, string(whole), bootstrap)
	up := upstream.New(t)
	for _, c := range bootstrap.GetStaticResources().GetClusters() {
		address := c.GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints()[0].GetEndpoint().GetAddress().GetSocketAddress()
		fromYAML(t, "{address: 127.0.0.1, port_value: "+up.Addr()[strings.LastIndex(up.Addr(), ":")+1:]+"}", address)
	}
	e := engine.Start(t, engine.Config{Bootstrap: bootstrap})
	w := &weir{Envoy: e, t: t, url: "http://" + e.Addr("clients")}
	if a := w.get("any", "/partner/"); a.header.Get("ratelimit-policy") != `"api@partner";q=600;w=60` {
		t.Errorf("a partner: got %+v, want a limit of 600", a)
	}
	up.Script(upstream.Status(503), upstream.OK())
	if a := w.get("any", "/partner/"); a.status != 200 || up.Count() != 3 {
		t.Errorf("a partner's request that fails once: got %+v after %d attempts in all, want 200 after 3", a, up.Count())
	}
	if a := w.get("any", "/health"); a.status != 200 || a.source() != "" {
		t.Errorf("a health check: got %+v, want 200 untouched", a)
	}
	if a := w.get("any", "/"); a.status != 200 || a.source() != "upstream" {
		t.Errorf("another request: got %+v, want 200 by the cluster's own policy", a)
	}
	w.WaitMetric(`weir_mode{cluster="api@partner"}`, engine.Exactly(2))
	w.WaitMetric(`weir_requests_total{cluster="api",decision="allowed"}`, engine.Exactly(1))
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
