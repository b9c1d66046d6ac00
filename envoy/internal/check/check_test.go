package check

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-mesh/weir/policy"
)

// lines are the findings as lines.
func lines(r *Result) []string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, fmt.Sprintf("%d:%d %s %s: %s", f.Line, f.Column, f.Severity, f.Path, f.Text))
	}
	return all
}

func environment(name string) (string, bool) {
	value, ok := map[string]string{"HOST": "0", "EMPTY": "", "ZERO": "0", "MANY": "many", "LATIN1": "\xe9"}[name]
	return value, ok
}

const wasm = `"@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm`

// TestForms has a mistake in each form that a policy comes in.
func TestForms(t *testing.T) {
	for name, test := range map[string]struct {
		file string
		in   string
		want []string
	}{
		"plain YAML": {"p.yaml", "clusters:\n  a:\n    bulkhead: {max_concurrent: 0}\n", []string{
			"3:32 mistake clusters.a.bulkhead.max_concurrent: must be at least 1, got 0",
		}},
		"plain JSON": {"p.json", "{\"clusters\":\n  {\"a.b\": {\"bulkhead\": {\"max_concurrent\": 1.5}}}}", []string{
			`2:43 mistake clusters["a.b"].bulkhead.max_concurrent: must be a whole number, got 1.5`,
		}},
		"a missing key is at what is above it": {"p.yaml", "clusters:\n  a:\n    failover: {}\n    circuit_breaker: {}\n", []string{
			"3:5 mistake clusters.a.failover.to: must list at least one cluster",
		}},
		"an empty document": {"p.yaml", "# nothing\n---\n", []string{
			"3:1 mistake clusters: missing, so there is nothing to enforce; write a policy here or in default, or write admin: {}",
		}},
		"an ECDS file": {"weir.ecds.yaml", "resources:\n- name: weir\n  typed_config:\n    " + wasm + `
    config:
      name: weir
      configuration:
        "@type": type.googleapis.com/google.protobuf.Struct
        value:
          clusters:
            a: {bulkhead: {max_concurrent: "${N}"}, retrys: {}}
            b: {bulkhead: {max_concurrent: 1_000}}
            c: {bulkhead: {max_concurrent: "${HOST}"}}
      vm_config:
        runtime: envoy.wasm.runtime.v8
        environment_variables: {key_values: {N: "0"}}
`, []string{
			"11:44 mistake clusters.a.bulkhead.max_concurrent: must be at least 1, got 0",
			"11:53 mistake clusters.a.retrys: unknown key, did you mean `retry`?",
			"12:44 mistake clusters.b.bulkhead.max_concurrent: must be a number, got a string",
			"13:44 mistake clusters.c.bulkhead.max_concurrent: the variable HOST is not set; set it, or write ${HOST:-value} for a default",
		}},
		"two plugins in an envoy.yaml, and another's": {"envoy.yaml", "static_resources:\n  listeners:\n  - filter_chains:\n    - filters:\n" +
			wasmOf("weir", "Struct", "{clusters: {a: {mode: on}}}") +
			wasmOf("other", "Struct", "{mode: on}") +
			wasmOf("x", "Struct", "{admin: {host: []}}"), []string{
			"9:42 mistake clusters.a.mode: must be one of enforce, shadow, off, got a boolean",
			"21:29 mistake admin.host: unknown key, did you mean `hosts`?",
		}},
		"a literal block": {"envoy.yaml", wasmOf("weir", "StringValue", "|-\n              {\"clusters\": {\"a\": {\n                \"bulkhead\": {\"max_concurrent\": 0}}}}"), []string{
			"7:48 mistake clusters.a.bulkhead.max_concurrent: must be at least 1, got 0",
		}},
		"a literal block that is no JSON": {"envoy.yaml", wasmOf("weir", "StringValue", "|-\n              {\"clusters\": {\n                a: 1}}"), []string{
			"7:17 mistake : not JSON: invalid character 'a' looking for beginning of object key string at line 2, column 3",
		}},
		"a quoted string": {"envoy.yaml", wasmOf("weir", "StringValue", `'{"clusters": {"a": {"bulkheads": {}}}}'`), []string{
			"5:20 mistake clusters.a.bulkheads: unknown key, did you mean `bulkhead`?",
		}},
		"an object as a StringValue": {"envoy.yaml", wasmOf("weir", "StringValue", `{clusters: {}}`), []string{
			"5:20 mistake : the value of a StringValue must be a string, got an object; write |- and the policy as JSON, or use google.protobuf.Struct",
		}},
		"a WasmPlugin is read as Kubernetes reads it": {"plugin.yaml", `apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: weir}
spec:
  vmConfig: {env: [{name: N, value: "0"}, {name: HOST, valueFrom: HOST}]}
  pluginConfig:
    clusters:
      a: {bulkhead: {max_concurrent: 1_000}, mode: off}
      b: {bulkhead: {max_concurrent: "${N}"}}
      c: {bulkhead: {max_concurrent: "${HOST}"}}
      d: {bulkhead: {max_concurrent: "5"}}
`, []string{
			"9:38 mistake clusters.b.bulkhead.max_concurrent: must be at least 1, got 0",
			"10:38 mistake clusters.c.bulkhead.max_concurrent: must be at least 1, got 0",
			"11:38 mistake clusters.d.bulkhead.max_concurrent: must be a number, got the string \"5\"; remove the quotes",
		}},
		"an EnvoyExtensionPolicy": {"policy.yaml", "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: EnvoyExtensionPolicy\nspec:\n  wasm:\n  - name: weir\n    config: {clusters: {a: {mode: of}}}\n", []string{
			"6:35 mistake clusters.a.mode: unknown value \"of\", did you mean `off`?",
		}},
		"an Envoy without Weir": {"envoy.yaml", wasmOf("other", "Struct", "{}"), []string{
			"0:0 mistake : has Wasm plugins, but none of Weir: none is named weir, or has clusters, default, policies, admin or attempts; check its name",
		}},
		"an Envoy without Wasm": {"envoy.yaml", "static_resources: {}\n", []string{
			"0:0 mistake : has no Wasm plugin with a policy; name the file that has it, such as *.ecds.yaml",
		}},
		"not YAML": {"p.yaml", "clusters:\n  a: {x: 1\n", []string{"2:6 mistake : not YAML: could not find flow mapping end token '}'"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, lines(File(test.file, []byte(test.in), environment))); diff != "" {
				t.Errorf("%s\nwant (-), got (+):\n%s", test.in, diff)
			}
		})
	}
}

// wasmOf is a filter with a configuration, in five lines of its own.
func wasmOf(name, message, value string) string {
	return "      - name: " + name + "\n        config:\n          configuration:\n            \"@type\": type.googleapis.com/google.protobuf." + message +
		"\n        " + "    value: " + value + "\n          name: " + name + "\n"
}

func TestWarnings(t *testing.T) {
	for in, want := range map[string]string{
		"{rate_limit: {burst_capacity: 5}}":                                    "1:45 clusters.a.rate_limit.burst_capacity: has no effect without algorithm: token_bucket",
		"{rate_limit: {algorithm: token_bucket, burst_capacity: 5}}":           "",
		`{rate_limit: {algorithm: "${A:-adaptive}", refill_rate: 5}}`:          "",
		"{rate_limit: {backoff_factor: 0.5}}":                                  "1:45 clusters.a.rate_limit.backoff_factor: has no effect without algorithm: adaptive",
		"{rate_limit: {lease: {max_tokens: 1}}}":                               "1:29 clusters.a.rate_limit.lease: has no effect without scope: mesh",
		"{rate_limit: {shards: 2}}":                                            "1:37 clusters.a.rate_limit.shards: has no effect without scope: mesh",
		"{rate_limit: {max_keys: 5}}":                                          "1:39 clusters.a.rate_limit.max_keys: has no effect without key",
		"{retry: {max_body_bytes: 5}}":                                         "1:40 clusters.a.retry.max_body_bytes: has no effect without driver: filter",
		"{failover: {to: [b]}}":                                                "1:16 clusters.a.failover: never acts, because only an open breaker sends requests elsewhere; add circuit_breaker: {}",
		"{failover: {to: [b]}, circuit_breaker: {}}":                           "",
		"{fallback: {enable_default_fallback: off, default_data: {}}}":         "1:57 clusters.a.fallback.default_data: has no effect with enable_default_fallback: false",
		"{fallback: {enable_default_fallback: off, default_data_by_path: {}}}": "1:57 clusters.a.fallback.default_data_by_path: has no effect with enable_default_fallback: false",
		"{mode: shadow, mode: enforce}":                                        "1:16 clusters.a.mode: is written again in the same line, and Envoy takes only the last one; remove one",
	} {
		t.Run(in, func(t *testing.T) {
			var got []string
			for _, f := range File("p.yaml", []byte("clusters: {a: "+in+"}"), environment).Findings {
				got = append(got, fmt.Sprintf("%d:%d %s: %s", f.Line, f.Column, f.Path, f.Text))
				if f.Severity != Warning {
					t.Errorf("got a %s, want a warning", f.Severity)
				}
			}
			if strings.Join(got, "\n") != want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "\n"), want)
			}
		})
	}
}

// TestKeysWrittenTwice: Envoy keeps the last key of YAML and refuses one that is twice in a Struct of a JSON file
// (TestYAMLForms asks it), the filter refuses one in JSON text.
func TestKeysWrittenTwice(t *testing.T) {
	for name, test := range map[string]struct {
		file, in string
		want     []string
	}{
		"a document": {"p.yaml", "clusters:\n  a: {mode: shadow}\n  b: {}\n  a: {mode: off}\n  a: {}\n", []string{
			"2:3 warning clusters.a: is written again in line 5, and Envoy takes only the last one; remove one",
			"4:3 warning clusters.a: is written again in line 5, and Envoy takes only the last one; remove one",
		}},
		"a document in JSON": {"p.json", "{\"clusters\": {\"a\": {},\n  \"a\": {}}}", []string{
			"2:3 mistake clusters.a: is written twice, remove one",
		}},
		"a Struct in JSON": {
			"envoy.json", `{"name": "weir", "configuration": {"@type": "type.googleapis.com/google.protobuf.Struct",` + "\n" +
				` "value": {"clusters": {"a": {"mode": "off",` + "\n" + ` "mode": "shadow"}}}}}`,
			[]string{
				"2:31 mistake clusters.a.mode: is written again in line 3, and Envoy refuses a JSON file with a key that is written twice; remove one",
			},
		},
		"a literal block": {"envoy.yaml", wasmOf("weir", "StringValue", "|-\n              {\"clusters\": {\"a\": {},\n               \"a\": {}}}"), []string{
			"7:16 mistake clusters.a: is written twice, remove one",
		}},
		"a WasmPlugin": {"plugin.yaml", "apiVersion: x\nkind: WasmPlugin\nspec:\n  pluginConfig:\n    default: {mode: off}\n    default: {}\n", []string{
			"5:5 warning default: is written again in line 6, and kubectl takes only the last one; remove one",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, lines(File(test.file, []byte(test.in), environment))); diff != "" {
				t.Errorf("%s\nwant (-), got (+):\n%s", test.in, diff)
			}
		})
	}
}

// TestNamesInMetadata: routes and clusters of an envoy.yaml name policies that are there.
func TestNamesInMetadata(t *testing.T) {
	file := func(policy, metadata string) string {
		return `routes: [{metadata: {filter_metadata: {weir: {policy: ` + metadata + `}}}}]
filter: {name: weir, configuration: {"@type": type.googleapis.com/google.protobuf.Struct, value: ` + policy + `}, vm_config: {runtime: envoy.wasm.runtime.v8}}
`
	}
	const missing = "1:55 warning : the metadata name the policy nobody, and no policy in this file has it under policies: the cluster's own policy would decide"
	for _, tc := range []struct {
		in   string
		want []string
	}{
		{file(`{policies: {partner: {}}, clusters: {a: {}}}`, "partner"), nil},
		{file(`{policies: {partner: {}}, clusters: {a: {}}}`, "nobody"), []string{missing}},
		{file(`{clusters: {a: {}}}`, "nobody"), []string{missing}},
		{strings.NewReplacer("filter_metadata", "filterMetadata", "vm_config: {", "vmConfig: {environmentVariables: {keyValues: {N: 5}}, ").
			Replace(file(`{clusters: {a: {rate_limit: {requests: "${N}"}}}}`, "nobody")), []string{strings.Replace(missing, ":55", ":54", 1)}},
		{file(`{admin: {}}`, "nobody"), nil}, // the policy is in another file
	} {
		if diff := cmp.Diff(tc.want, lines(File("envoy.yaml", []byte(tc.in), environment))); diff != "" {
			t.Errorf("%s\nwant (-), got (+):\n%s", tc.in, diff)
		}
	}
}

func TestNamesLikeRegularExpressions(t *testing.T) {
	for name, want := range map[string]bool{
		"aws_.*": true, ".*": true, "^aws": true, "aws$": true, `api\.example\.com`: true, "aws_[0-9]": true, "(a|b)": true, "a.+": true,
		"aws_*": false, "*": false, "api.example.*": false, "outbound|443||api.example.com": false, "*.svc": false, "a+b": false,
	} {
		if got := regularExpression(name); got != want {
			t.Errorf("regularExpression(%q) = %v, want %v", name, got, want)
		}
	}
}

// TestBadDocuments: what the decoder says about each file of policy/testdata/bad is what is said here, each with a line.
func TestBadDocuments(t *testing.T) {
	files, err := filepath.Glob("../../../policy/testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	want := regexp.MustCompile(`(?m)^# want: (.*)$`)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var wanted, got []string
			for _, m := range want.FindAllSubmatch(raw, -1) {
				wanted = append(wanted, string(m[1]))
			}
			for _, f := range File(file, raw, environment).Findings {
				if f.Line < 1 || f.Column < 1 {
					t.Errorf("got no place of %v", f)
				}
				if f.Severity == Mistake {
					got = append(got, policy.Mistake{Path: f.Path, Text: f.Text}.String())
				}
			}
			if diff := cmp.Diff(wanted, got); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

// TestExamples: the published files have nothing that is worth a warning.
func TestExamples(t *testing.T) {
	for _, file := range []string{"istio.yaml", "mesh.policy.yaml", "presets.yaml", "quickstart.ecds.yaml", "quickstart.policy.yaml", "regions.policy.yaml", "routes.policy.yaml", "routes.yaml"} {
		raw, err := os.ReadFile("../../examples/" + file)
		if err != nil {
			t.Fatal(err)
		}
		r := File(file, raw, environment)
		if len(r.Policies) == 0 || len(r.Findings) > 0 {
			t.Errorf("%s: got %d policies and %v, want one and nothing", file, len(r.Policies), lines(r))
		}
	}
}
