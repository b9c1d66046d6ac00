package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	localv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/local_ratelimit/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// TestImportLocalRateLimit: an Envoy with a local_ratelimit filter, and Weir with the policy that `weir import` makes of its
// configuration, admit the same number of requests.
func TestImportLocalRateLimit(t *testing.T) {
	t.Parallel()
	percent := func(n uint32) *corev3.RuntimeFractionalPercent {
		return &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{Numerator: n}}
	}
	bucket := &typev3.TokenBucket{MaxTokens: 3, FillInterval: durationpb.New(3600e9)}
	for name, test := range map[string]struct {
		filter *localv3.LocalRateLimit
		admits int
	}{
		"enforced":  {&localv3.LocalRateLimit{FilterEnabled: percent(100), FilterEnforced: percent(100)}, 3},
		"in shadow": {&localv3.LocalRateLimit{FilterEnabled: percent(100)}, 10},
		"off":       {&localv3.LocalRateLimit{FilterEnforced: percent(100)}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.filter.StatPrefix, test.filter.TokenBucket = "local", bucket
			up := map[string]*upstream.Upstream{"aws": upstream.New(t)}
			var configuration []byte
			before := startWith(t, options(t, "clusters: {aws: {}}", up), func(b *bootstrapv3.Bootstrap) {
				addLocalRateLimit(t, b, test.filter)
				var err error
				if configuration, err = render.YAML(b); err != nil {
					t.Fatal(err)
				}
			})
			file := filepath.Join(t.TempDir(), "envoy.yaml")
			if err := os.WriteFile(file, configuration, 0o600); err != nil {
				t.Fatal(err)
			}
			imported := runWeir(t, "import", "ratelimit", file)
			if imported.status != 0 || imported.err != "" {
				t.Fatalf("weir import: got %+v, want a policy and nothing else\n%s", imported, configuration)
			}
			after := start(t, imported.out, up)
			for _, w := range []*weir{before, after} {
				admitted := 0
				for range 10 {
					if w.get("aws", "/").status == http.StatusOK {
						admitted++
					}
				}
				if admitted != test.admits {
					t.Errorf("imported: %v: got %d of 10 requests admitted, want %d\n%s", w == after, admitted, test.admits, imported.out)
				}
			}
		})
	}
}

// addLocalRateLimit adds the filter before Weir's.
func addLocalRateLimit(t *testing.T, b *bootstrapv3.Bootstrap, filter *localv3.LocalRateLimit) {
	t.Helper()
	for _, l := range b.GetStaticResources().GetListeners() {
		for _, chain := range l.GetFilterChains() {
			for _, f := range chain.GetFilters() {
				manager := &hcmv3.HttpConnectionManager{}
				if f.GetTypedConfig().UnmarshalTo(manager) != nil {
					continue
				}
				typed, err := anypb.New(filter)
				if err != nil {
					t.Fatal(err)
				}
				manager.HttpFilters = append([]*hcmv3.HttpFilter{{
					Name: "envoy.filters.http.local_ratelimit", ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: typed},
				}}, manager.HttpFilters...)
				if err := f.GetTypedConfig().MarshalFrom(manager); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
