package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const intoEnvoy = `static_resources:
  listeners:
  - filter_chains:
    - filters:
      - typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          http_filters: [{name: envoy.filters.http.router}]
  clusters: [{name: aws}]
`

// TestRenderFilterInto: where the file comes from, and that no command line loses it.
func TestRenderFilterInto(t *testing.T) {
	dir := t.TempDir()
	policy, own, empty := filepath.Join(dir, "policy.yaml"), filepath.Join(dir, "envoy.yaml"), filepath.Join(dir, "empty.yaml")
	for name, text := range map[string]string{
		policy: "clusters: {aws: {rate_limit: {}}}", own: intoEnvoy, empty: "\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	missing := filepath.Join(dir, "missing.yaml")
	for _, tc := range []struct {
		args string
		code int
		err  string
	}{
		{"--into -", StatusOK, ""},
		{"--into " + missing, StatusFailed, missing + ": no such file or directory\n"},
		{"--into " + empty, StatusFailed, empty + ": the file is empty; a shell empties it before weir reads it where > writes to the same file: write to another one\n"},
		{"--into " + own + " --ecds " + own, StatusFailed, "weir: " + own + " is the file of --into and would be overwritten; choose another FILE for --ecds\n"},
		{"--into " + own + " --env A=1 --host-env A", StatusFailed, "weir: environment variable A: given with a value"},
		{"--into - -f -", StatusUsage, "weir: -f and --into are both standard input: give one of them as a file\n"},
	} {
		got := run(t, intoEnvoy, append([]string{"render", "filter", "-f", policy}, strings.Fields(tc.args)...)...)
		if got.status != tc.code || !strings.HasPrefix(got.err, tc.err) || (tc.code == StatusOK) != strings.Contains(got.out, "name: resolve_route") {
			t.Errorf("%s: got %+v, want status %d and %q", tc.args, got, tc.code, tc.err)
		}
	}
	if text, err := os.ReadFile(own); err != nil || string(text) != intoEnvoy {
		t.Errorf("got %s and %v, want the file as it was", text, err)
	}
	chain := strings.Join(strings.SplitAfter(intoEnvoy, "\n")[2:7], "")
	two := strings.ReplaceAll(strings.Replace(intoEnvoy, "  clusters", chain+"  clusters", 1), ".router", ".other")
	got := run(t, two, "render", "filter", "-f", policy, "--into", "-")
	if lines := strings.Count(got.err, "standard input: line "); got.status != StatusFailed || lines != 2 {
		t.Errorf("got %+v, want two errors, each with the file and the line", got)
	}
}
