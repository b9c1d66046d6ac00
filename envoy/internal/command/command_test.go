package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	goodPolicy = `clusters:
  aws_pricing:
    rate_limit: {algorithm: token_bucket, requests_per_minute: "${AWS_RATE_LIMIT}"}
  quotes:
    circuit_breaker: {failure_threshold: 3}
`
	badPolicy = `clusters:
  aws_pricing:
    rate_limit: {algorithm: token_bucket, burst_capacity: 0}
    circuit_breakers: {}
    retry: {}
`
)

// result is the outcome of one command line.
type result struct {
	status   int
	out, err string
}

// run executes a command line in a new directory that contains the policies above.
func run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	t.Chdir(t.TempDir())
	for name, content := range map[string]string{"good.yaml": goodPolicy, "bad.yaml": badPolicy} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if len(args) > 0 && args[0] == "status" && !strings.Contains(strings.Join(args, " "), "--over") {
		args = append(args, "--over=0") // or each test would take a second
	}
	var out, errs bytes.Buffer
	status := Run(t.Context(), args, Streams{In: strings.NewReader(stdin), Out: &out, Err: &errs})
	return result{status, out.String(), errs.String()}
}

func TestUsage(t *testing.T) {
	for line, want := range map[string]string{
		"":                           "name a subcommand: ",
		"frobnicate":                 `unknown command "frobnicate"`,
		"--frobnicate":               "unknown flag: --frobnicate",
		"validate":                   "requires at least 1 arg",
		"validate --env A good.yaml": "want NAME=VALUE",
		"render":                     "name a subcommand: envoy, filter, gateway, istio",
		"render istio":               "-f POLICY",
		"render filter":              "-f POLICY",
		"render filter -f good.yaml --weir-admin x":                        "weir admin:",
		"render filter -f good.yaml --weir-admin-host x":                   "--weir-admin-host needs --weir-admin",
		"render istio -f good.yaml":                                        "No image of Weir is published",
		"render istio -f good.yaml --module weir.wasm":                     "want oci://HOST/weir:TAG",
		"render istio -f good.yaml --module file:///w --upstream a=b":      "missing port",
		"render istio -f good.yaml --module file:///w --side left":         "want one of both, client, server",
		"render istio -f good.yaml --module file:///w --phase last":        "want one of authn, authz, none, stats",
		"render istio -f good.yaml --module file:///w --target Pod/a":      "want Gateway/NAME",
		"render istio -f good.yaml --module file:///w --port 0":            "--port: must be between 1 and 65535",
		"render istio -f good.yaml --module file:///w -o a --output-dir b": "exclude each other",
		"render istio -f good.yaml --module file:///w --form helm":         "--form helm is a directory: add --output-dir DIR",
		"render istio -f good.yaml --module file:///w --form tar":          "want one of helm, kustomize, yaml",
		"render istio -f good.yaml --module file:///w --weir-admin-host a": "--weir-admin-host needs --weir-admin",
		"render istio -f good.yaml --module file:///w --redis 10.0.0.1:1":  "is an address",
		"render gateway":                                                                                       "-f POLICY",
		"render gateway -f good.yaml":                                                                          "No image of Weir is published",
		"render gateway -f good.yaml --module https://a/w":                                                     "add --gateway NAME",
		"render gateway -f good.yaml --module https://a/w --gateway g":                                         "add --listener NAME, or --no-patches",
		"render gateway -f good.yaml --module file:///w --gateway g --listener l":                              "want oci://HOST/weir:TAG or https://HOST/weir.wasm",
		"render gateway -f good.yaml --module https://a/w --gateway g --listener l --upstream a=b":             "want NAME=NAMESPACE/ROUTE",
		"render gateway -f good.yaml --module https://a/w --gateway g --listener l --route Pod/a":              "want HTTPRoute/NAME",
		"render gateway -f good.yaml --module https://a/w --gateway g --no-patches -o a --output-dir b":        "exclude each other",
		"render gateway -f good.yaml --module https://a/w --gateway g --no-patches --form yaml --output-dir b": "give -o FILE instead of --output-dir",
		"render gateway -f good.yaml --module https://a/w --gateway g --no-patches --weir-admin-host a":        "--weir-admin-host needs --weir-admin",
		"render envoy":                                                            "-f POLICY",
		"render envoy -f good.yaml":                                               "--upstream NAME=HOST:PORT",
		"render envoy -f good.yaml --upstream a=b":                                "missing port",
		"render envoy -f good.yaml --upstream a=b:1 --upstream a=c:1":             "given twice",
		"render envoy -f good.yaml --upstream a=b:1 --listen here:1":              "must be an IP address",
		"render envoy -f good.yaml --upstream a=b:1 --env A=1 --host-env A":       "environment variable A",
		"render envoy -f good.yaml --upstream a=b:1 --envoy-admin 127.0.0.1:port": "envoy admin: port must be",
		"demo now":                            `unknown command "now"`,
		"status":                              "requires at least 1 arg",
		"status ftp://h":                      "the scheme must be http or https",
		"status http://":                      "has no host",
		"status http://h?a=b":                 "has a query",
		"status ::":                           "not a URL",
		"status --watch 5s h":                 "write --watch=5s",
		"status --watch=1ms h":                "--watch: must be at least 100ms",
		"status --timeout 0s h":               "--timeout: must be more than 0",
		"status h --fail-on failing --over 0": "--fail-on failing: leave out --over 0",
		"status h --format xml":               "want one of flat, json, table",
		"status h --format flat --json":       "leave one out",
		"status h:1 aws i:2":                  "i:2: write URLs before CLUSTER (aws)",
		"status h:1 aws azure":                "accepts one CLUSTER, got aws and azure",
		"status h:1 ftp://i":                  "the scheme must be http or https",
		"reset h":                             "requires at least 2 arg",
		"reset --timeout -1s h aws":           "--timeout: must be more than 0",
		"breaker":                             "name a subcommand: auto, close, open",
		"breaker shut h aws":                  `unknown command "shut"`,
		"statsu h":                            `unknown command "statsu" for "weir"; did you mean status?`,
		"render envy":                         `unknown command "envy" for "weir render"; did you mean envoy?`,
		"status --jsn h":                      "unknown flag: --jsn; did you mean --json?",
		"status --nothing-like-it h":          "unknown flag: --nothing-like-it\n",
		"breaker open h":                      "requires at least 2 arg",
		"cache invalidate h":                  "requires at least 2 arg",
		"cache invalidate --path a h aws":     "--path must begin with /",
	} {
		t.Run(line, func(t *testing.T) {
			got := run(t, "", strings.Fields(line)...)
			if got.status != StatusUsage || got.out != "" || !strings.Contains(got.err, want) || !strings.Contains(got.err, "--help") {
				t.Errorf("got %+v, want status 2 and %q", got, want)
			}
		})
	}
}

func TestHelpHasExamples(t *testing.T) {
	for _, line := range []string{"validate", "schema", "import", "import ratelimit", "render", "render envoy", "render filter", "render istio", "render gateway", "demo", "bridge", "status", "reset", "breaker", "breaker open", "cache", "cache invalidate", "version"} {
		t.Run(line, func(t *testing.T) {
			got := run(t, "", append(strings.Fields(line), "--help")...)
			if got.status != StatusOK || got.err != "" || !strings.Contains(got.out, "Examples:\n  weir "+line) {
				t.Errorf("got %+v, want status 0 and examples", got)
			}
		})
	}
	got := run(t, "", "--help")
	for _, sub := range []string{"validate", "schema", "import", "render", "demo", "bridge", "status", "reset", "breaker", "cache", "version"} {
		if !strings.Contains(got.out, "\n  "+sub+" ") {
			t.Errorf("got weir --help without %s", sub)
		}
	}
}

func TestSchema(t *testing.T) {
	got := run(t, "", "schema")
	var document struct {
		Schema string `json:"$schema"`
	}
	if err := json.Unmarshal([]byte(got.out), &document); err != nil || got.status != StatusOK || document.Schema == "" {
		t.Errorf("got status %d, %d bytes, %v, want a JSON Schema", got.status, len(got.out), err)
	}
}

func TestImportRatelimit(t *testing.T) {
	const descriptors = "domain: d\ndescriptors:\n- {key: user, rate_limit: {unit: minute, requests_per_unit: 7}}\n- {key: other, rate_limit: {unit: minute, requests_per_unit: 7}}\n"
	for name, test := range map[string]struct {
		stdin    string
		args     []string
		status   int
		out, err string
	}{
		"a part that is not converted": {descriptors, []string{"--key=user=header:x-user", "--cluster", "a"}, StatusOK, "requests: 7", "standard input:4:28: descriptors[1].rate_limit: not converted: "},
		"nothing that is converted":    {descriptors, nil, StatusFailed, "", "standard input: nothing could be converted"},
		"no limits":                    {"a: 1", nil, StatusFailed, "", "standard input: has no rate limits"},
		"a file that is gone":          {"", []string{"--envoy", "gone.yaml"}, StatusFailed, "", "gone.yaml: no such file or directory"},
		"a wrong key":                  {"", []string{"--key", "user=x-user"}, StatusUsage, "", "want header:NAME"},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, test.stdin, append([]string{"import", "ratelimit", "-"}, test.args...)...)
			if got.status != test.status || !strings.Contains(got.out, test.out) || (test.out == "") != (got.out == "") || !strings.Contains(got.err, test.err) {
				t.Errorf("got %+v, want status %d, %q and %q", got, test.status, test.out, test.err)
			}
		})
	}
}

func TestValidate(t *testing.T) {
	t.Setenv("AWS_RATE_LIMIT", "20")
	const mistakes = `bad.yaml:4:5: clusters.aws_pricing.circuit_breakers: unknown key`
	for name, test := range map[string]struct {
		stdin  string
		args   []string
		status int
		out    string // in full
		errs   []string
	}{
		"without mistakes":    {"", []string{"good.yaml"}, StatusOK, "good.yaml: ok, 2 clusters\n", nil},
		"a JSON document":     {`{"clusters": {"a": {}}, "default": {}}`, []string{"-"}, StatusOK, "standard input: ok, 1 cluster and a default\n", nil},
		"named policies":      {`{"clusters": {"a": {}}, "policies": {"b": {}, "c": {}}}`, []string{"-"}, StatusOK, "standard input: ok, 1 cluster and 2 named policies\n", nil},
		"a variable by --env": {"", []string{"--env", "AWS_RATE_LIMIT=0", "good.yaml"}, StatusFailed, "", []string{"good.yaml:3:64: clusters.aws_pricing.rate_limit.requests_per_minute: "}},
		"a key twice":         {"clusters: {a: {}, a: {}}", []string{"-"}, StatusOK, "standard input: ok, 1 cluster\n", []string{"standard input:1:12: warning: clusters.a: is written again in the same line, and Envoy takes only the last one"}},
		"a file that is gone": {"", []string{"gone.yaml"}, StatusFailed, "", []string{"gone.yaml: no such file or directory\n"}},
		"several files":       {"", []string{"bad.yaml", "good.yaml", "gone.yaml"}, StatusFailed, "good.yaml: ok, 2 clusters\n", []string{mistakes, "bad.yaml:3:59: clusters.aws_pricing.rate_limit.burst_capacity: ", "gone.yaml: "}},
	} {
		t.Run(name, func(t *testing.T) {
			got := run(t, test.stdin, append([]string{"validate"}, test.args...)...)
			if got.status != test.status || got.out != test.out || (got.err == "") != (len(test.errs) == 0) {
				t.Errorf("got %+v, want status %d and %q", got, test.status, test.out)
			}
			for _, want := range test.errs {
				if !strings.Contains(got.err, want) {
					t.Errorf("got standard error %q, want %q in it", got.err, want)
				}
			}
		})
	}
}

func TestValidateJSON(t *testing.T) {
	t.Setenv("AWS_RATE_LIMIT", "20")
	got := run(t, "", "validate", "--json", "good.yaml")
	if want := (result{StatusOK, "[]\n", ""}); got != want {
		t.Errorf("without mistakes: got %+v, want %+v", got, want)
	}
	got = run(t, "", "validate", "--json", "bad.yaml", "gone.yaml")
	var mistakes []struct {
		File, Path, Text, Severity string
		Line, Column               int
	}
	if err := json.Unmarshal([]byte(got.out), &mistakes); err != nil {
		t.Fatal(err)
	}
	var places []string
	for _, m := range mistakes {
		if m.Text == "" || m.Severity != "mistake" {
			t.Errorf("got mistake %v, want one with a text and severity mistake", m)
		}
		places = append(places, fmt.Sprintf("%s:%d:%d %s", m.File, m.Line, m.Column, m.Path))
	}
	want := []string{"bad.yaml:4:5 clusters.aws_pricing.circuit_breakers", "bad.yaml:3:59 clusters.aws_pricing.rate_limit.burst_capacity", "gone.yaml:0:0 "}
	if diff := cmp.Diff(want, places); diff != "" || got.status != StatusFailed || got.err != "" {
		t.Errorf("got %+v: %s", got, diff)
	}
}

func TestRenderEnvoy(t *testing.T) {
	both := []string{"render", "envoy", "-f", "good.yaml", "--env", "AWS_RATE_LIMIT=20", "--upstream", "aws_pricing=127.0.0.1:1", "--upstream", "quotes=h2://quotes:2"}
	for name, test := range map[string]struct {
		args   []string
		status int
		out    []string // in standard output; empty: nothing is printed
		errs   []string
	}{
		"inline": {
			both, StatusOK,
			[]string{"# Written by weir", "name: aws_pricing\n", "name: quotes\n", "type.googleapis.com/google.protobuf.Struct", "AWS_RATE_LIMIT: \"20\"", "port_value: 10000"},
			nil,
		},
		"as a string, elsewhere": {
			append(both[:len(both):len(both)], "--string-value", "--listen", "0.0.0.0:80", "--envoy-admin", "127.0.0.1:81", "--wasm", "/w.wasm"), StatusOK,
			[]string{"type.googleapis.com/google.protobuf.StringValue", "port_value: 80\n", "port_value: 81\n", "filename: /w.wasm"},
			nil,
		},
		"an upstream too many": {
			append(both[:len(both):len(both)], "--upstream", "other=h:1"), StatusOK,
			[]string{"name: other\n"},
			[]string{"warning: no policy applies to upstream other"},
		},
		"an admin interface on all addresses": {
			append(both[:len(both):len(both)], "--weir-admin", "[::]:9902"), StatusOK,
			[]string{"port_value: 9902\n"},
			[]string{"warning: --weir-admin [::]:9902 listens on all addresses"},
		},
		"an admin interface on this machine": {
			append(both[:len(both):len(both)], "--weir-admin", "9902"), StatusOK,
			[]string{"port_value: 9902\n"},
			nil,
		},
		"an upstream too few": {both[:len(both)-2], StatusFailed, nil, []string{"add --upstream quotes=HOST:PORT"}},
		"a variable that the filter will not have": {
			append(both[:4:4], both[6:]...), StatusFailed, nil,
			[]string{"good.yaml:3:64: clusters.aws_pricing.rate_limit.requests_per_minute: ", "AWS_RATE_LIMIT"},
		},
		"mistakes":            {[]string{"render", "envoy", "-f", "bad.yaml", "--upstream", "aws_pricing=h:1"}, StatusFailed, nil, []string{"burst_capacity: ", "circuit_breakers: "}},
		"nowhere to write to": {append(both[:len(both):len(both)], "-o", "gone/envoy.yaml"), StatusFailed, nil, []string{"there is no folder gone/ for envoy.ecds.yaml: make it"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_RATE_LIMIT", "20") // of this process, which the filter does not see
			got := run(t, "", test.args...)
			if got.status != test.status || (got.out == "") != (len(test.out) == 0) || (got.err == "") != (len(test.errs) == 0) {
				t.Errorf("got %+v, want status %d", got, test.status)
			}
			for _, want := range test.out {
				if !strings.Contains(got.out, want) {
					t.Errorf("got standard output without %q:\n%s", want, got.out)
				}
			}
			for _, want := range test.errs {
				if !strings.Contains(got.err, want) {
					t.Errorf("got standard error %q, want %q in it", got.err, want)
				}
			}
		})
	}
}

// With -o the policy is in a separate watched file, whose path is in the bootstrap.
func TestRenderEnvoyToFiles(t *testing.T) {
	dir := t.TempDir()
	bootstrap := filepath.Join(dir, "envoy.yaml")
	got := run(t, goodPolicy, "render", "envoy", "-f", "-", "--env", "AWS_RATE_LIMIT=20",
		"--upstream", "aws_pricing=h:1", "--upstream", "quotes=h:2", "-o", bootstrap)
	watched := filepath.Join(dir, "envoy.ecds.yaml")
	if want := (result{StatusOK, "wrote " + watched + "\nwrote " + bootstrap + "\n", ""}); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	for file, wants := range map[string][]string{
		bootstrap: {"path: " + watched, "config_discovery:"},
		watched:   {"failure_threshold: 3", "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"},
	} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(string(content), want) {
				t.Errorf("got %s without %q:\n%s", file, want, content)
			}
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o644 {
			t.Errorf("%s: got mode %o, want 644: Envoy may run as another user", file, got)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 2 {
		t.Errorf("got %d files in the directory, want 2: %v", len(left), left)
	}
}

// The error says what is missing and how to get it.
func TestDemoSaysWhatIsMissing(t *testing.T) {
	if got := run(t, "", "demo", "--wasm", "gone.wasm"); got.status != StatusFailed || !strings.Contains(got.err, "make wasm") {
		t.Errorf("without the module: got %+v, want status 1 and make wasm", got)
	}
	t.Setenv("PATH", t.TempDir())
	t.Setenv("ENVOY_BIN", "")
	if got := run(t, "", "demo", "--wasm", "good.yaml"); got.status != StatusFailed || !strings.Contains(got.err, "make envoy") {
		t.Errorf("without Envoy: got %+v, want status 1 and make envoy", got)
	}
}

func TestRenderNeedsTheBridgeToRedis(t *testing.T) {
	const shared = `{"clusters": {"aws": {"rate_limit": {"scope": "mesh"}}}, "redis": {"cluster": "the_bridge"}}`
	args := []string{"render", "envoy", "-f", "-", "--upstream", "aws=127.0.0.1:1"}
	if got := run(t, shared, args...); got.status != StatusFailed || !strings.Contains(got.err, "--redis HOST:PORT") {
		t.Errorf("without --redis: got %+v, want status 1 and the flag", got)
	}
	args = append(args, "--redis", "127.0.0.1:7379")
	got := run(t, shared, args...)
	if got.status != StatusOK || !strings.Contains(got.out, "name: the_bridge\n") {
		t.Errorf("with --redis: got %+v, want status 0 and the cluster", got)
	}
	// The name is in the cluster, twice, and in the policy: no route has it.
	if n := strings.Count(got.out, "the_bridge"); n != 3 {
		t.Errorf("got the bridge's name %d times, want 3:\n%s", n, got.out)
	}
	if got := run(t, `{"clusters": {"aws": {"bulkhead": {}}}}`, args...); got.status != StatusFailed || !strings.Contains(got.err, "no `redis` section") {
		t.Errorf("without the section: got %+v, want status 1", got)
	}
}
