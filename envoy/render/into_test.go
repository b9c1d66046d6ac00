package render

import (
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/weir-mesh/weir/policy"
)

const ownEnvoy = `
stats_config: {use_all_default_tags: false, stats_tags: [{tag_name: mine, regex: "(m)"}]}
node: {id: mine}
static_resources:
  listeners:
  - name: one
    filter_chains: [{filters: [{name: hcm, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: one,
      http_filters: [{name: mine}, {name: envoy.filters.http.router}]}}]}]
  - name: tcp
    filter_chains: [{filters: [{name: envoy.filters.network.tcp_proxy, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy}}]}]
  - name: two
    default_filter_chain: {filters: [{name: envoy.filters.network.http_connection_manager, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager,
      early_header_mutation_extensions: [{name: mine}], http_filters: [{name: last, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]}}]}
`

// TestInto: the filter stands right before the router of each connection manager, and what was there stays.
func TestInto(t *testing.T) {
	o := options()
	o.ECDS, o.Admin = "weir.ecds.yaml", "9902"
	text, err := Into([]byte(ownEnvoy), o)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Stats struct {
			All  *bool `json:"use_all_default_tags"`
			Tags []struct {
				Name string `json:"tag_name"`
			} `json:"stats_tags"`
		} `json:"stats_config"`
		Node   struct{ ID, Cluster string } `json:"node"`
		Static struct {
			Listeners []struct {
				Name    string
				Chains  []chain `json:"filter_chains"`
				Default chain   `json:"default_filter_chain"`
			}
		} `json:"static_resources"`
	}
	if err := yaml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, l := range got.Static.Listeners {
		for _, c := range append(l.Chains, l.Default) {
			for _, f := range c.Filters {
				line := l.Name + ":"
				for _, h := range append(f.Typed.Early, f.Typed.Filters...) {
					line += " " + h.Name
				}
				lines = append(lines, line)
			}
		}
	}
	want := "one: envoy.http.early_header_mutation.header_mutation mine resolve_route weir envoy.filters.http.router\ntcp:\n" +
		"two: mine envoy.http.early_header_mutation.header_mutation resolve_route weir last\nweir_admin: weir_admin envoy.filters.http.router"
	if all := strings.Join(lines, "\n"); all != want {
		t.Errorf("got\n%s\nwant\n%s", all, want)
	}
	if s := got.Stats; s.All == nil || *s.All || len(s.Tags) < 2 || s.Tags[0].Name != "mine" || s.Tags[1].Name != "cluster" {
		t.Errorf("stats_config: got %+v, want the file's own tag, then Weir's", s)
	}
	if got.Node.ID != "mine" || got.Node.Cluster != "weir" {
		t.Errorf("node: got %+v, want the file's own id, and a cluster, without which Envoy watches no file", got.Node)
	}
}

type chain struct {
	Filters []struct {
		Typed struct {
			Early   []struct{ Name string } `json:"early_header_mutation_extensions"`
			Filters []struct{ Name string } `json:"http_filters"`
		} `json:"typed_config"`
	}
}

func TestIntoRefuses(t *testing.T) {
	for _, tc := range []struct{ envoy, policy, want string }{
		{"static_resources: {listeners: [{name: a}]}", document, "no listener of its static_resources has an http_connection_manager"},
		{strings.ReplaceAll(ownEnvoy, "envoy.filters.http.router}", "other}"), document, "the connection manager one has no envoy.filters.http.router among its http_filters"},
		{strings.ReplaceAll(ownEnvoy, "{name: mine}, {name: envoy", "{name: weir}, {name: envoy"), document, "the connection manager one has a filter weir already"},
		{"[]", document, "an envoy.yaml must be an object"},
		{"a: [", document, "line"},
		{ownEnvoy, `{"clusters": {"aws": {"retry": {}}}}`, "retry and failover need routes of their own: leave out --into"},
	} {
		o := options()
		o.Policy = []byte(tc.policy)
		var err error
		if o.Document, err = policy.Decode(o.Policy, func(string) (string, bool) { return "", false }); err != nil {
			t.Fatal(err)
		}
		if text, err := Into([]byte(tc.envoy), o); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Into(%.60s, %s): got %s and %v, want %q", tc.envoy, tc.policy, text, err, tc.want)
		}
	}
}
