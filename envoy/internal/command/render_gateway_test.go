package command

import (
	"path/filepath"
	"strings"
	"testing"
)

// Each flag arrives; what the options do is tested in envoy/gateway.
func TestRenderGateway(t *testing.T) {
	args := strings.Fields("render gateway -f - --module https://files.example.com/weir.wasm --gateway eg --listener http --upstream aws=shop/aws/3")
	for flags, want := range map[string]string{
		"":                                       "httproute/shop/aws/rule/3:",
		"--name limits":                          "name: limits",
		"-n shop":                                "name: shop/eg/http",
		"--listener a,b":                         "name: default/eg/b",
		"--route GRPCRoute/cart":                 "kind: GRPCRoute",
		"--envoy-listener tcp-80":                "name: tcp-80",
		"--gateway-class all":                    "kind: GatewayClass",
		"--fail-open":                            "failOpen: true",
		"--image-pull-policy always":             "pullPolicy: Always",
		"--module oci://r --image-pull-secret s": "pullSecretRef:",
		"--sha256 " + sha:                        "sha256: " + sha,
		"--host-env A":                           "- A",
		"--envoy-proxy":                          "kind: EnvoyProxy",
		"--sha256 " + sha + " --weir-admin 9902 --weir-admin-host weir.example.com": "- weir.example.com",
	} {
		got := run(t, `{"clusters": {"aws": {"rate_limit": {}}}}`, append(args[:len(args):len(args)], strings.Fields(flags)...)...)
		if got.status != StatusOK || got.err != "" || !strings.Contains(got.out, want) {
			t.Errorf("%s: got %+v, want status 0 and %q", flags, got, want)
		}
	}
	const mesh = `{"clusters": {"aws": {"rate_limit": {"scope": "mesh"}}}, "redis": {"dialect": "upstash"}}`
	for flags, want := range map[string]string{
		"--bridge b:1 --bridge-secret s": "name: s",
		"--redis b.example.com:1":        "address: b.example.com",
	} {
		if got := run(t, mesh, append(args[:len(args):len(args)], strings.Fields(flags)...)...); got.status != StatusOK || !strings.Contains(got.out, want) {
			t.Errorf("%s: got %+v, want status 0 and %q", flags, got, want)
		}
	}
	if got := run(t, `{"default": {}}`, append(args[:len(args):len(args)], "--no-patches")...); got.status != StatusOK || strings.Contains(got.out, "kind: EnvoyPatchPolicy") {
		t.Errorf("got %+v, want no EnvoyPatchPolicy", got)
	}
}

func TestRenderGatewayFailures(t *testing.T) {
	args := strings.Fields("render gateway -f - --module https://a/weir.wasm --gateway eg --listener http")
	for policy, want := range map[string]string{
		`{"clusters": {"aws": {"rate_limit": {}}}}`:  "weir: no cluster of Envoy Gateway is named aws: add --upstream aws=NAMESPACE/ROUTE",
		`{"clusters": {"aws": {"rate_limits": {}}}}`: "clusters.aws.rate_limits: unknown key",
	} {
		if got := run(t, policy, args...); got.status != StatusFailed || got.out != "" || !strings.Contains(got.err, want) {
			t.Errorf("%s: got %+v, want status 1 and %q", policy, got, want)
		}
	}
	if got := run(t, `{"default": {"retry": {}}}`, args...); got.status != StatusOK || !strings.Contains(got.err, "weir: warning: default: ") {
		t.Errorf("got %+v, want a warning", got)
	}
}

func TestRenderGatewayFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "weir")
	args := []string{"render", "gateway", "-f", "-", "--module", "https://a/weir.wasm", "--gateway", "eg", "--listener", "http", "--output-dir", dir}
	written := "wrote " + dir + "/envoypatchpolicy-weir.yaml\nwrote " + dir + "/envoyextensionpolicy-weir.yaml\nwrote " + dir + "/kustomization.yaml\n"
	if got := run(t, `{"default": {"rate_limit": {}}}`, args...); got != (result{StatusOK, written, ""}) {
		t.Errorf("got %+v, want three files", got)
	}
}
