package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each flag arrives; what the options do is tested in envoy/istio.
func TestRenderIstio(t *testing.T) {
	args := strings.Fields("render istio -f - --module oci://r.example.com/weir:1 --upstream aws=aws.example.com:81")
	for flags, want := range map[string]string{
		"":                              "outbound|81||aws.example.com:",
		"--name limits":                 "name: limits",
		"-n shop":                       "namespace: shop",
		"-n root --root-namespace root": "namespace: root",
		"--selector app=cart":           "app: cart",
		"--target Service/cart":         "kind: Service",
		"--side both":                   "mode: CLIENT_AND_SERVER",
		"--port 81,82":                  "- number: 82",
		"--phase authn":                 "phase: AUTHN",
		"--priority 0":                  "priority: 0",
		"--fail-strategy open":          "failStrategy: FAIL_OPEN",
		"--image-pull-policy always":    "imagePullPolicy: Always",
		"--image-pull-secret s":         "imagePullSecret: s",
		"--sha256 " + sha:               "sha256: " + sha,
		"--env A=b":                     "value: b",
		"--host-env A":                  "valueFrom: HOST",
		"--weir-admin 9902":             "port_value: 9902",
		"--bootstrap-in shop":           "kind: ConfigMap",
		"--weir-admin 9902 --weir-admin-host weir.example.com": "- weir.example.com",
	} {
		got := run(t, `{"clusters": {"aws": {"rate_limit": {}}}}`, append(args[:len(args):len(args)], strings.Fields(flags)...)...)
		if got.status != StatusOK || got.err != "" || !strings.Contains(got.out, want) {
			t.Errorf("%s: got %+v, want status 0 and %q", flags, got, want)
		}
	}
	const named = `{"clusters": {"aws": {"rate_limit": {}}}, "policies": {"partner": {"rate_limit": {"requests": 5}}}}`
	for flags, want := range map[string]string{
		"--cluster-policy partner=aws.example.com:81":       "applyTo: CLUSTER",
		"--route-policy partner=aws.example.com:81/partner": "name: aws.example.com:81",
	} {
		if got := run(t, named, append(args[:len(args):len(args)], strings.Fields(flags)...)...); got.status != StatusOK || !strings.Contains(got.out, want) {
			t.Errorf("%s: got %+v, want status 0 and %q", flags, got, want)
		}
	}
	const mesh = `{"clusters": {"aws": {"rate_limit": {"scope": "mesh"}}}, "redis": {"dialect": "upstash"}}`
	for flags, want := range map[string]string{
		"--bridge b:1 --bridge-secret s": "name: s",
		"--redis b.example.com:1":        "cluster: outbound|1||b.example.com",
	} {
		if got := run(t, mesh, append(args[:len(args):len(args)], strings.Fields(flags)...)...); got.status != StatusOK || !strings.Contains(got.out, want) {
			t.Errorf("%s: got %+v, want status 0 and %q", flags, got, want)
		}
	}
}

const sha = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"

func TestRenderIstioFailures(t *testing.T) {
	args := strings.Fields("render istio -f - --module file:///weir.wasm")
	for policy, want := range map[string]string{
		`{"clusters": {"aws": {"rate_limit": {}}}}`:  "weir: no cluster of Istio is named aws: add --upstream aws=HOST:PORT",
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

// Files are written, and not again while they are the same; a policy is never overwritten.
func TestRenderIstioFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "weir")
	args := []string{"render", "istio", "-f", "-", "--module", "file:///weir.wasm", "--output-dir", dir}
	const policy = `{"default": {"rate_limit": {}}}`
	written := "wrote " + dir + "/envoyfilter-weir.yaml\nwrote " + dir + "/wasmplugin-weir.yaml\nwrote " + dir + "/kustomization.yaml\n"
	if got := run(t, policy, args...); got != (result{StatusOK, written, ""}) {
		t.Errorf("got %+v, want three files", got)
	}
	changed := strings.NewReplacer("wrote "+dir+"/e", "unchanged "+dir+"/e", "wrote "+dir+"/k", "unchanged "+dir+"/k").Replace(written)
	if got := run(t, `{"default": {"rate_limit": {"requests": 5}}}`, args...); got != (result{StatusOK, changed, ""}) {
		t.Errorf("got %+v, want %q", got, changed)
	}
	file := filepath.Join(dir, "policy.yaml")
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := run(t, "", "render", "istio", "-f", file, "--module", "file:///weir.wasm", "-o", file); got.status != StatusFailed || !strings.Contains(got.err, "would be overwritten") {
		t.Errorf("got %+v, want status 1", got)
	}
	all := filepath.Join(dir, "all.yaml")
	if got := run(t, policy, "render", "istio", "-f", "-", "--module", "file:///weir.wasm", "-o", all); got != (result{StatusOK, "wrote " + all + "\n", ""}) {
		t.Errorf("got %+v, want one file", got)
	}
}

// TestRenderHelm: a chart is written, and of the templates that are there those of the command alone are removed.
func TestRenderHelm(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "chart")
	args := []string{"render", "istio", "-f", "-", "--module", "file:///weir.wasm", "--form", "helm", "--output-dir", dir}
	written := func(files ...string) (out string) {
		for _, file := range files {
			out += "wrote " + dir + "/" + file + "\n"
		}
		return out
	}
	const policy = `{"clusters": {"outbound|80||a": {"circuit_breaker": {}}}}`
	want := written("Chart.yaml", "values.yaml", "templates/destinationrule-weir-a.yaml", "templates/virtualservice-weir-a.yaml",
		"templates/envoyfilter-weir.yaml", "templates/wasmplugin-weir.yaml")
	if got := run(t, policy, args...); got != (result{StatusOK, want, ""}) {
		t.Errorf("got %+v, want %q", got, want)
	}
	own := filepath.Join(dir, "templates", "own.yaml")
	if err := os.WriteFile(own, []byte("# Mine.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := run(t, `{"default": {"rate_limit": {}}}`, args...)
	want = "removed " + dir + "/templates/destinationrule-weir-a.yaml\nremoved " + dir + "/templates/virtualservice-weir-a.yaml\n"
	if got.status != StatusOK || !strings.HasSuffix(got.out, want) {
		t.Errorf("got %+v, want in the end %q", got, want)
	}
	if _, err := os.Stat(own); err != nil {
		t.Errorf("a template of the user's: %v", err)
	}
	if got := run(t, `{"default": {"rate_limit": {}}}`, append(args, "--selector", "app=weir-helm-namespace")...); got.status != StatusFailed || !strings.Contains(got.err, "use another name") {
		t.Errorf("a mark among the names: got %+v, want status 1", got)
	}
}

// TestRenderKeepsOthersFiles: a directory with a chart or a kustomization of the user's is not written into.
func TestRenderKeepsOthersFiles(t *testing.T) {
	for form, names := range map[string][]string{"helm": {"Chart.yaml", "values.yaml"}, "kustomize": {"kustomization.yaml"}} {
		dir := t.TempDir()
		args := []string{"render", "istio", "-f", "-", "--module", "file:///weir.wasm", "--form", form, "--output-dir", dir}
		const policy, mine = `{"default": {"rate_limit": {}}}`, "mine: true\n"
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(mine), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got := run(t, policy, args...)
		for _, name := range names {
			file := filepath.Join(dir, name)
			want := file + " is there, was not written by weir render istio, and would be overwritten; choose another --output-dir, or move the file\n"
			if text, err := os.ReadFile(file); got.status != StatusFailed || got.out != "" || !strings.Contains(got.err, want) || err != nil || string(text) != mine {
				t.Errorf("%s: got %+v and %q, %v, want %q and the file as it was", form, got, text, err, want)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(filepath.Join(dir, "templates"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/nowhere/at/all", filepath.Join(dir, "templates", "link.yaml")); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if got := run(t, policy, args...); got.status != StatusOK || got.err != "" {
				t.Errorf("%s: got %+v, want it written, and written again", form, got)
			}
		}
	}
}
