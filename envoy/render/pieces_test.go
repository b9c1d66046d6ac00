package render

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/envoy/render/rendertest"
)

// pieces has a policy with all that belongs into routes.
func pieces(t *testing.T) Options {
	t.Helper()
	asJSON, err := policyfile.JSON([]byte(`
clusters:
  first: {rate_limit: {}, circuit_breaker: {}, retry: {base_delay: 20ms}, failover: {to: [second], header: x-region}}
  second: {retry: {}}
  third: {bulkhead: {}}
  "*_pattern": {retry: {}}
`))
	if err != nil {
		t.Fatal(err)
	}
	return Options{Policy: asJSON, Wasm: "/etc/envoy/weir.wasm"}
}

func TestPiecesGolden(t *testing.T) {
	watched := pieces(t)
	watched.ECDS, watched.Admin, watched.AdminHosts = "/etc/envoy/weir.ecds.yaml", "9902", []string{"weir.example.com"}
	for file, o := range map[string]Options{"pieces.yaml": pieces(t), "pieces-watched.yaml": watched} {
		got, err := Pieces(o)
		if err != nil {
			t.Fatal(err)
		}
		rendertest.Golden(t, filepath.Join("testdata", file), got, *update)
	}
	ecds, err := ECDSPiece(watched)
	if err != nil || ecds.Path != watched.ECDS || !strings.Contains(string(ecds.Content), "rate_limit") {
		t.Errorf("got %s, %v", ecds.Path, err)
	}
}

func TestPiecesMistakes(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"default.retry: driver filter needs an internal listener": func(o *Options) { o.Policy = []byte(`{"default": {"retry": {"driver": "filter", "via": "x"}}}`) },
		"--weir-admin HOST:PORT":                                  func(o *Options) { o.Policy = []byte(`{"admin": {}}`) },
		"must be an IP address":                                   func(o *Options) { o.Admin = "localhost:1" },
		"environment variable A: given with":                      func(o *Options) { o.Env, o.HostEnv = map[string]string{"A": ""}, []string{"A"} },
	} {
		o := pieces(t)
		change(&o)
		if got, err := Pieces(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %d bytes, %v, want %q", len(got), err, want)
		}
	}
}
