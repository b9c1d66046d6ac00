package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The command writes all files, then only those that changed, and says when a restart is needed.
func TestRenderEnvoyReloads(t *testing.T) {
	dir := t.TempDir()
	bootstrap, ecds, lds := filepath.Join(dir, "envoy.yaml"), filepath.Join(dir, "envoy.ecds.yaml"), filepath.Join(dir, "envoy.lds.yaml")
	args := []string{
		"render", "envoy", "-f", "-", "--upstream", "aws=127.0.0.1:1", "--upstream", "aws_eu=127.0.0.1:2",
		"--weir-admin", "9902", "--lds", "-o", bootstrap,
	}
	const (
		limit    = `{"clusters": {"aws": {"rate_limit": {"requests": 5}}}, "default": {}}`
		another  = `{"clusters": {"aws": {"rate_limit": {"requests": 6}}}, "default": {}}`
		failover = `{"clusters": {"aws": {"rate_limit": {"requests": 6}, "failover": {"to": ["aws_eu"]}}}, "default": {}}`
		breaker  = `{"clusters": {"aws": {"rate_limit": {"requests": 6}, "circuit_breaker": {}, "failover": {"to": ["aws_eu"]}}}, "default": {}}`
	)
	const neverActs = "weir: standard input:1:54: warning: clusters.aws.failover: never acts, because only an open breaker sends requests elsewhere; add circuit_breaker: {}\n"
	for _, step := range []struct{ name, policy, out, err string }{
		{"all", limit, "wrote " + lds + "\nwrote " + ecds + "\nwrote " + bootstrap + "\n", ""},
		{"the same", limit, "unchanged " + lds + "\nunchanged " + ecds + "\nunchanged " + bootstrap + "\n", ""},
		{"a limit", another, "unchanged " + lds + "\nwrote " + ecds + "\nunchanged " + bootstrap + "\n", ""},
		{"a route", failover, "wrote " + lds + "\nwrote " + ecds + "\nunchanged " + bootstrap + "\n", neverActs},
		{"a cluster", breaker, "unchanged " + lds + "\nwrote " + ecds + "\nwrote " + bootstrap + "; restart Envoy to apply it\n", ""},
	} {
		if got, want := run(t, step.policy, args...), (result{StatusOK, step.out, step.err}); got != want {
			t.Fatalf("%s: got %+v, want %+v", step.name, got, want)
		}
	}
	for file, wants := range map[string][]string{
		bootstrap: {"lds_config:", "path: " + lds, "health_checks:"},
		lds:       {"name: traffic", "name: weir_admin", "port_value: 9902", "path: " + ecds, "name: aws/aws_eu"},
		ecds:      {"failover:"},
	} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(content), want) {
				t.Errorf("%s has no %q:\n%s", file, want, content)
			}
		}
	}
}

func TestRenderEnvoyHealthPaths(t *testing.T) {
	args := []string{"render", "envoy", "-f", "-", "--upstream", "a=127.0.0.1:1", "--upstream", "b=127.0.0.1:2"}
	for flags, want := range map[string][]string{
		"":                                     nil,
		"--health-path /x?y=z":                 {"path: /x?y=z", "path: /x?y=z"},
		"--health-path b=/b":                   {"path: /b"},
		"--health-path b=/b --health-path /ab": {"path: /ab", "path: /b"},
	} {
		got := run(t, `{"default": {"circuit_breaker": {}}}`, append(args[:len(args):len(args)], strings.Fields(flags)...)...)
		var paths []string
		for line := range strings.Lines(got.out) {
			if line := strings.TrimSpace(line); strings.HasPrefix(line, "path: ") {
				paths = append(paths, line)
			}
		}
		if got.status != StatusOK || strings.Join(paths, "\n") != strings.Join(want, "\n") {
			t.Errorf("%s: got %q, want %q; %s", flags, paths, want, got.err)
		}
	}
}

// TestRenderEnvoyTLS: each flag about upstreams by https, and what is wrong with one that names no such upstream.
func TestRenderEnvoyTLS(t *testing.T) {
	args := []string{"render", "envoy", "-f", "-", "--upstream", "a=https://a.example", "--upstream", "b=https://10.0.0.1,10.0.0.2", "--upstream", "c=c.example:80"}
	for flags, want := range map[string][]string{
		"--tls-name b=b.example":                            {"sni: a.example", "sni: b.example", "filename: /etc/ssl/certs/ca-certificates.crt", "address: 10.0.0.2"},
		"--tls-name b=b.example --ca x=y.pem":               {"--ca: no upstream has the name x"},
		"--tls-name b=b.example --ca /x=y.pem --ca b=b.pem": {"filename: /x=y.pem", "filename: b.pem"},
		"--tls-name b=b.example --ca c=c.pem":               {"--ca: the upstream c has no TLS: write --upstream c=https://HOST"},
		"--tls-name b=b.example --logical-dns a":            {"type: LOGICAL_DNS"},
		"--tls-name b=b.example --logical-dns b":            {"logical DNS takes one host"},
		"":                                                  {"the hosts 10.0.0.1 and 10.0.0.2 have different names"},
		"--tls-name b=b.example:1":                          {"must be a host name without a port"},
	} {
		got := run(t, `{"default": {}}`, append(args[:len(args):len(args)], strings.Fields(flags)...)...)
		for _, text := range want {
			if !strings.Contains(got.out+got.err, text) {
				t.Errorf("%s: got no %q, in\n%s%s", flags, text, got.out, got.err)
			}
		}
	}
}

func TestRenderEnvoyUsage(t *testing.T) {
	args := []string{"render", "envoy", "-f", "good.yaml", "--upstream", "a=b:1"}
	for flags, want := range map[string]string{
		"--lds":                      "--lds needs -o FILE",
		"--health-path c=/x":         "no upstream has the name c",
		"--health-path x":            "begins with /",
		"--weir-admin localhost:1":   "weir admin:",
		"--weir-admin 127.0.0.1:big": "weir admin:",
	} {
		got := run(t, "", append(args[:len(args):len(args)], strings.Fields(flags)...)...)
		if got.status != StatusUsage || got.out != "" || !strings.Contains(got.err, want) {
			t.Errorf("%s: got %+v, want status 2 and %q", flags, got, want)
		}
	}
}

// The policy is never overwritten, also not as one of the files with another extension.
func TestRenderEnvoyLeavesItsInputAlone(t *testing.T) {
	for _, file := range []string{"envoy.yaml", "envoy.ecds.yaml", "envoy.lds.yaml", "link.yaml"} {
		dir := t.TempDir()
		policy, output := filepath.Join(dir, file), filepath.Join(dir, "envoy.yaml")
		if file == "link.yaml" {
			if err := os.Symlink(output, policy); err != nil {
				t.Fatal(err)
			}
		}
		const content = "default: {bulkhead: {}}"
		if err := os.WriteFile(policy, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got := run(t, "", "render", "envoy", "-f", policy, "--upstream", "a=127.0.0.1:1", "--lds", "-o", output)
		if got.status != StatusFailed || got.out != "" || !strings.Contains(got.err, "would be overwritten") {
			t.Errorf("%s: got %+v, want status 1 and that it would be overwritten", file, got)
		}
		if after, err := os.ReadFile(policy); err != nil || string(after) != content {
			t.Errorf("%s: got %q, %v, want it unchanged", file, after, err)
		}
	}
}

// The error says what to do about a name that no upstream can have.
func TestRenderEnvoySaysWhatCanBeDone(t *testing.T) {
	for _, tc := range []struct{ policy, redis, want string }{
		{`{"clusters": {"a/b": {}}}`, "", `cluster "a/b", which cannot be an upstream's name: the name`},
		{`{"clusters": {"b": {}}}`, "", "add --upstream b=HOST:PORT"},
		{`{"default": {}, "redis": {"cluster": "a=b"}}`, "h:1", `redis.cluster of the policy: the name "a=b"`},
		{`{"default": {}, "redis": {"cluster": "a"}}`, "h:1", `redis cluster "a" has the name of an upstream`},
		{`{"default": {}, "redis": {}}`, "h", "--redis: want HOST:PORT"},
		{`{"admin": {}}`, "", "--weir-admin"},
	} {
		args := []string{"render", "envoy", "-f", "-", "--upstream", "a=127.0.0.1:1"}
		if tc.redis != "" {
			args = append(args, "--redis", tc.redis)
		}
		if got := run(t, tc.policy, args...); got.status != StatusFailed || got.out != "" || !strings.Contains(got.err, tc.want) {
			t.Errorf("%s: got %+v, want %q", tc.policy, got, tc.want)
		}
	}
}

func TestRenderEnvoyAdminHosts(t *testing.T) {
	args := []string{"render", "envoy", "-f", "-", "--upstream", "a=127.0.0.1:1", "--weir-admin-host", "weir.example.com"}
	if got := run(t, `{"default": {}}`, args...); got.status != StatusUsage || !strings.Contains(got.err, "--weir-admin-host needs --weir-admin") {
		t.Errorf("without the listener: got %+v, want status 2", got)
	}
	got := run(t, `{"default": {}}`, append(args, "--weir-admin", "9902")...)
	if got.status != StatusOK || !strings.Contains(got.out, "- weir.example.com\n") {
		t.Errorf("got %+v, want status 0 and the host name", got)
	}
}
