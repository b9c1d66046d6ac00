package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// plainEnvoy is an envoy.yaml without Weir.
const plainEnvoy = `
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
node: {id: mine, cluster: mine}
static_resources:
  listeners:
  - name: mine
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: mine
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                route: {cluster: aws}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: aws
    load_assignment: {cluster_name: aws, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]}
  - name: aws_eu
    load_assignment: {cluster_name: aws_eu, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]}
`

// paste puts the pieces of weir render filter where their comments say.
func paste(t *testing.T, into, pieces string) *bootstrapv3.Bootstrap {
	t.Helper()
	type m = map[string]any
	read := func(text string) m {
		var tree m
		if err := yaml.Unmarshal([]byte(text), &tree); err != nil {
			t.Fatal(err)
		}
		return tree
	}
	whole := read(into)
	static := whole["static_resources"].(m)
	chain := static["listeners"].([]any)[0].(m)["filter_chains"].([]any)[0].(m)
	manager := chain["filters"].([]any)[0].(m)["typed_config"].(m)
	host := manager["route_config"].(m)["virtual_hosts"].([]any)[0].(m)
	for text := range strings.SplitSeq(pieces, "---\n") {
		for key, value := range read(text) {
			switch comment := text; {
			case strings.Contains(comment, "At the top level"):
				if key != "node" { // it has its own
					whole[key] = value
				}
			case strings.Contains(comment, "Into the http_connection_manager") && key == "http_filters":
				manager[key] = append(value.([]any), manager[key].([]any)...)
			case strings.Contains(comment, "Into the http_connection_manager"):
				manager[key] = value
			case strings.Contains(comment, "lead to cluster aws.") && key == "routes":
				host[key] = value
			case strings.Contains(comment, "Into static_resources") && key == "listeners":
				static[key] = append(static[key].([]any), value.([]any)...)
			default:
				t.Fatalf("don't know where %s goes: %s", key, text)
			}
		}
	}
	asYAML, err := yaml.Marshal(whole)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := yaml.YAMLToJSON(asYAML)
	if err != nil {
		t.Fatal(err)
	}
	b := &bootstrapv3.Bootstrap{}
	if err := protojson.Unmarshal(asJSON, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestExistingEnvoy: the pieces of weir render filter, pasted into an envoy.yaml without Weir or put in by --into, enforce the
// policy: the limit, retries, failover past a client's header; metrics have labels, the admin listener sees the same state. With
// the filter in a watched file, a new policy holds without a restart.
func TestExistingEnvoy(t *testing.T) {
	t.Parallel()
	command, err := repo.Built("weir", "weir")
	if err != nil {
		t.Fatal(err)
	}
	module, err := repo.Module("weir")
	if err != nil {
		t.Fatal(err)
	}
	const policy = `clusters:
  aws:
    rate_limit: {requests: %d, window_size: 600s}
    circuit_breaker: {failure_threshold: 2, recovery_timeout: 60s}
    retry: {max_attempts: 2, base_delay: 10ms}
    failover: {to: [aws_eu]}
`
	for _, row := range []struct {
		name          string
		watched, into bool
	}{{"pasted", false, false}, {"pasted and watched", true, false}, {"put in and watched", true, true}} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			watched := row.watched
			dir := engine.Dir(t)
			aws, eu := upstream.New(t), upstream.New(t)
			plain := fmt.Sprintf(plainEnvoy, aws.Port(), eu.Port())
			render := func(requests int) string {
				file := filepath.Join(dir, "policy.yaml")
				if err := os.WriteFile(file, fmt.Appendf(nil, policy, requests), 0o600); err != nil {
					t.Fatal(err)
				}
				arguments := []string{"render", "filter", "-f", file, "--wasm", module, "--weir-admin", "9902"}
				if watched {
					arguments = append(arguments, "--ecds", filepath.Join(dir, "weir.ecds.yaml"))
				}
				if row.into {
					own := filepath.Join(dir, "own.yaml")
					if err := os.WriteFile(own, []byte(plain), 0o600); err != nil {
						t.Fatal(err)
					}
					arguments = append(arguments, "--into", own)
				}
				cmd := exec.Command(command, arguments...)
				var errs bytes.Buffer
				cmd.Stderr = &errs
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%s: %v: %s", cmd, err, &errs)
				}
				return string(out)
			}
			bootstrap := &bootstrapv3.Bootstrap{}
			if row.into {
				fromYAML(t, render(6), bootstrap)
			} else {
				bootstrap = paste(t, plain, render(6))
			}
			e := engine.Start(t, engine.Config{Bootstrap: bootstrap, Dir: dir})
			w := &weir{Envoy: e, t: t, url: "http://" + e.Addr("mine")}

			aws.Script(upstream.Status(503), upstream.OK())
			if a := w.get("any", "/"); a.status != 200 || aws.Count() != 2 {
				t.Errorf("got %d after %d attempts, want 200 after 2", a.status, aws.Count())
			}
			r := w.request(t.Context(), http.MethodGet, "any", "/")
			r.Header.Set("x-weir-cluster", "aws_eu")
			if a := w.do(r); a.status != 200 || eu.Count() != 0 {
				t.Errorf("a client's x-weir-cluster: got %d and %d requests to aws_eu, want 200 and none", a.status, eu.Count())
			}
			var refused answer
			for refused = w.get("any", "/"); refused.status == 200; refused = w.get("any", "/") {
			}
			if refused.status != 429 || refused.reason() != "rate_limited" {
				t.Errorf("got %d %v, want 429 for rate_limited", refused.status, refused.header)
			}
			w.WaitMetric(`weir_requests_total{cluster="aws",decision="rate_limited"}`, engine.Exactly(1))
			admin := http.Client{}
			response, err := admin.Get("http://" + e.Addr("weir_admin") + "/status")
			if err != nil || response.StatusCode != 200 {
				t.Fatalf("the admin listener: got %v, %v", response, err)
			}
			response.Body.Close()
			if !watched {
				return
			}
			render(1000)
			eventually(t, func() error {
				if a := w.get("any", "/"); a.status != 200 {
					return fmt.Errorf("got %d, want 200 by the new policy", a.status)
				}
				return nil
			})
			aws.Set(upstream.Status(503))
			eventually(t, func() error {
				if w.get("any", "/"); eu.Count() == 0 {
					return fmt.Errorf("no request went to aws_eu")
				}
				return nil
			})
			if slices.ContainsFunc(eu.Requests(), func(r upstream.Request) bool { return r.Header.Get("x-weir-cluster") != "" }) {
				t.Error("aws_eu got x-weir-cluster")
			}
		})
	}
}
