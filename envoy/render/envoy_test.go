package render

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/envoy/render/rendertest"
	"github.com/weir-mesh/weir/envoy/run"
)

// stubWasm is a module that Envoy loads at once, while the filter takes seconds:
//
//	(module (memory (export "memory") 1)
//	  (func (export "proxy_abi_version_0_2_1"))
//	  (func (export "malloc") (param i32) (result i32) i32.const 0))
const stubWasm = "\x00asm\x01\x00\x00\x00" +
	"\x01\x09\x02\x60\x00\x00\x60\x01\x7f\x01\x7f" + // types: () -> (), i32 -> i32
	"\x03\x03\x02\x00\x01" + // functions
	"\x05\x03\x01\x00\x01" + // memory
	"\x07\x2d\x03\x06memory\x02\x00\x17proxy_abi_version_0_2_1\x00\x00\x06malloc\x00\x01" + // exports
	"\x0a\x09\x02\x02\x00\x0b\x04\x00\x41\x00\x0b" // bodies

// Envoy accepts the rendered configuration. In this mode it does not read watched files, so the filter is inline.
func TestEnvoyAccepts(t *testing.T) {
	binary, err := run.Find()
	if errors.Is(err, run.ErrNoEnvoy) {
		t.Skipf("needs an Envoy: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	wasm := filepath.Join(dir, "stub.wasm")
	if err := os.WriteFile(wasm, []byte(stubWasm), 0o600); err != nil {
		t.Fatal(err)
	}
	roots := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(roots, rendertest.Authority(t), 0o600); err != nil {
		t.Fatal(err)
	}
	policy := func(json string) func(*Options) {
		return func(o *Options) { o.Policy = []byte(json) }
	}
	for name, change := range map[string]func(*Options){
		"everything":                  func(*Options) {},
		"no admin":                    func(o *Options) { o.Admin = "" },
		"a policy as a string":        func(o *Options) { o.StringValue = true },
		"watched files":               func(o *Options) { o.ECDS, o.LDS = "weir.ecds.yaml", "weir.lds.yaml" },
		"the filter watched":          func(o *Options) { o.ECDS = "weir.ecds.yaml" },
		"a policy with mistakes":      policy(`{"clusters": {"primary": {"retry": 5}}}`),
		"no policy for any":           policy(`{"clusters": {}}`),
		"everything by default":       policy(`{"clusters": {}, "default": {"retry": {}, "circuit_breaker": {}, "failover": {"to": ["primary", "second"]}}}`),
		"delays of a millisecond":     policy(`{"clusters": {"primary": {"retry": {"base_delay": "1ms", "max_delay": "1ms"}}}}`),
		"delays of a day":             policy(`{"clusters": {"primary": {"retry": {"base_delay": "24h", "max_delay": "24h"}}}}`),
		"fractions of a millisecond":  policy(`{"clusters": {"primary": {"retry": {"base_delay": "1.5ms", "max_delay": "1.9ms"}}}}`),
		"a breaker of a millisecond":  policy(`{"clusters": {"primary": {"circuit_breaker": {"recovery_timeout": "1ms"}}}}`),
		"a breaker of a day":          policy(`{"clusters": {"primary": {"circuit_breaker": {"recovery_timeout": "24h", "failure_threshold": 1}}}}`),
		"no status is a failure":      policy(`{"clusters": {"primary": {"circuit_breaker": {"expected_failures": ["reset"]}}}}`),
		"one status is a failure":     policy(`{"clusters": {"primary": {"circuit_breaker": {"expected_failures": ["429"]}}}}`),
		"scattered statuses are":      policy(`{"clusters": {"primary": {"circuit_breaker": {"expected_failures": ["429", "404", "5xx"]}}}}`),
		"an HTTP/1.1 path for health": func(o *Options) { o.Upstreams[0].HealthPath = "/healthz?deep=1" },
	} {
		t.Run(name, func(t *testing.T) {
			o := everything(t)
			o.LDS, o.Wasm = "", wasm
			for i := range o.Upstreams {
				if tls := o.Upstreams[i].TLS; tls != nil { // this machine may lack the system's roots
					o.Upstreams[i].TLS = &TLS{Name: tls.Name, CA: roots}
				}
			}
			change(&o)
			text, err := YAML(mustBootstrap(t, o))
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "envoy.yaml")
			for path, content := range map[string][]byte{file: text, filepath.Join(filepath.Dir(file), "weir.ecds.yaml"): nil} {
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), binary.Path, "--mode", "validate", "-c", file, "-l", "warning")
			cmd.Dir = filepath.Dir(file)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s\n%s", err, out, text)
			}
			// Envoy warns about fields that a later version removes.
			if strings.Contains(string(out), "deprecated") {
				t.Errorf("got a warning about a deprecated field: %s", out)
			}
		})
	}
}
