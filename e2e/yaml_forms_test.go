package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/weir-mesh/weir/e2e/engine"
)

// TestYAMLForms asks Envoy what it makes of each form of the table by which `weir validate` reads YAML: they are the
// metadata of a cluster in a watched file, and the admin interface shows them as JSON.
func TestYAMLForms(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("../envoy/policyfile/testdata/envoy_forms.txt")
	if err != nil {
		t.Fatal(err)
	}
	const indent = "        "
	clusters := "resources:\n- \"@type\": type.googleapis.com/envoy.config.cluster.v3.Cluster\n  name: forms\n  connect_timeout: 1s\n  metadata:\n    filter_metadata:\n"
	want := map[string]any{}
	var form string
	for line := range strings.Lines(string(table)) {
		switch {
		case strings.HasPrefix(line, "  "):
			clusters += indent + line[2:]
		case strings.HasPrefix(line, "= "):
			var object map[string]any
			if err := json.Unmarshal([]byte(line[2:]), &object); err != nil {
				t.Fatal(err)
			}
			want[form] = object
		default:
			form = strings.TrimSpace(line)
			clusters += "      \"" + form + "\":\n"
		}
	}
	envoy := startWithClusters(t, "forms.yaml", clusters)
	var dump struct {
		Configs []struct {
			Cluster struct {
				Metadata struct {
					FilterMetadata map[string]any `json:"filter_metadata"`
				} `json:"metadata"`
			} `json:"cluster"`
		} `json:"configs"`
	}
	if err := json.Unmarshal([]byte(envoy.Admin("/config_dump?resource=dynamic_active_clusters")), &dump); err != nil {
		t.Fatal(err)
	}
	if len(dump.Configs) != 1 {
		t.Fatalf("got %d clusters, want the one with the forms", len(dump.Configs))
	}
	if diff := cmp.Diff(want, dump.Configs[0].Cluster.Metadata.FilterMetadata); diff != "" {
		t.Errorf("table (-), Envoy (+):\n%s", diff)
	}
}

// TestKeyTwiceInJSON: of a key that is written twice in an object, Envoy takes the last one in YAML (see the table), and
// refuses the file if it is JSON.
func TestKeyTwiceInJSON(t *testing.T) {
	t.Parallel()
	envoy := startWithClusters(t, "twice.json", `{"resources": [{"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "twice",
		"connect_timeout": "1s", "metadata": {"filter_metadata": {"weir": {"a": 1, "a": 2}}}}]}`)
	envoy.WaitLog("unexpectedly-repeated") // the spaces around it vary
}

// startWithClusters starts an Envoy that takes its clusters from a watched file.
func startWithClusters(t *testing.T, name, clusters string) *engine.Envoy {
	t.Helper()
	dir := engine.Dir(t)
	loopback := &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{},
	}}}
	return engine.Start(t, engine.Config{
		Dir:   dir,
		Files: map[string][]byte{name: []byte(clusters)},
		Bootstrap: &bootstrapv3.Bootstrap{
			Node:  &corev3.Node{Id: "forms", Cluster: "forms"},
			Admin: &bootstrapv3.Admin{Address: loopback},
			DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{CdsConfig: &corev3.ConfigSource{
				ResourceApiVersion: corev3.ApiVersion_V3,
				ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{
					PathConfigSource: &corev3.PathConfigSource{Path: dir + "/" + name},
				},
			}},
		},
	})
}
