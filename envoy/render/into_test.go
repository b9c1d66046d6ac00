package render

import (
	"encoding/json"
	"errors"
	"slices"
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
	text, _, err := Into([]byte(ownEnvoy), o)
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

// intoRoutesEnvoy is an envoy.yaml of one virtual host with these routes.
func intoRoutesEnvoy(routes, more string) string {
	return `# mine
static_resources:
  listeners:
    - name: one # a listener
      filter_chains:
        - filters:
            - name: hcm
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: 'one'
                http_filters: [{name: envoy.filters.http.router}]
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
` + more + `                      routes:
` + routes + `  clusters:
    - {name: aws, connect_timeout: 0x1s}
    - name: eu # the other region
`
}

func into(t *testing.T, envoy, document string) (text []byte, warnings []string, err error) {
	t.Helper()
	o := options()
	o.Policy = []byte(document)
	if o.Document, err = policy.Decode(o.Policy, func(string) (string, bool) { return "", false }); err != nil {
		t.Fatal(err)
	}
	return Into([]byte(envoy), o)
}

// TestIntoKeepsTheFile: each line of the file is in the result, in its order and as it was written, comments included.
func TestIntoKeepsTheFile(t *testing.T) {
	envoy := intoRoutesEnvoy(`                        # the first
                        - match: {prefix: "/a", runtime_fraction: {default_value: {numerator: 010}}} # octal
                          route: {cluster: aws, timeout: 1_000s}
                        # the last
                        - {match: {prefix: /}, direct_response: {status: 200, body: {inline_string: "yes"}}}
`, "")
	text, warnings, err := into(t, envoy, `{"clusters": {"aws": {"retry": {"base_delay": "10ms"}}}}`)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	rest := string(text)
	for line := range strings.Lines(envoy) {
		line = strings.TrimSuffix(strings.ReplaceAll(line, "http_filters: [{name: envoy.filters.http.router}]", "http_filters: ["), "}\n")
		_, after, found := strings.Cut(rest, strings.TrimSpace(line))
		if !found {
			t.Fatalf("got\n%s\nwant %q in it, after what stands before it in the file", text, line)
		}
		rest = after
	}
}

// TestIntoRoutes: what retry and failover put into the routes and clusters of a file.
func TestIntoRoutes(t *testing.T) {
	const (
		retry    = `"retry": {"base_delay": "10ms", "max_delay": "2s"}`
		failover = `"circuit_breaker": {}, "failover": {"to": ["eu"]}`
		delays   = `{"rate_limited_retry_back_off":{"max_interval":"2s","reset_headers":[{"name":"retry-after"}]},"retry_back_off":{"base_interval":"0.010s","max_interval":"2s"}}`
		toEU     = `"match":{"headers":[{"name":"x-weir-cluster","string_match":{"exact":"eu"}}],"prefix":"/"},`
		removed  = `"request_headers_to_remove":["x-weir-cluster"],`
	)
	for _, tc := range []struct {
		name, policy, routes, host string
		want                       string // routes as JSON
		bound                      string // max_retries of the clusters aws and eu
		warnings                   int
	}{
		{
			name: "retry", policy: `{"clusters": {"aws": {` + retry + `}}}`, routes: `- {match: {prefix: /}, route: {cluster: aws, timeout: 3s}}`,
			want: `[{"match":{"prefix":"/"},"route":{"cluster":"aws","retry_policy":` + delays + `,"timeout":"3s"}}]`, bound: "4294967295 -",
		},
		{
			name: "retry to other hosts than before", policy: `{"clusters": {"aws": {` + retry + `}}}`,
			routes: `- {match: {prefix: /}, route: {cluster: aws, retry_policy: {host_selection_retry_max_attempts: 3}}}`,
			want:   `[{"match":{"prefix":"/"},"route":{"cluster":"aws","retry_policy":{"host_selection_retry_max_attempts":3,` + delays[1:] + `}}]`, bound: "4294967295 -",
		},
		{
			name: "retry_policy of the virtual host", policy: `{"clusters": {"aws": {` + retry + `}}}`,
			routes: `- {match: {prefix: /}, route: {cluster: aws}}`, host: "{host_selection_retry_max_attempts: 3}",
			want: `[{"match":{"prefix":"/"},"route":{"cluster":"aws","retry_policy":{"host_selection_retry_max_attempts":3,` + delays[1:] + `}}]`, bound: "4294967295 -",
		},
		{
			name: "driver filter and no retry", policy: `{"clusters": {"aws": {"circuit_breaker": {}}}}`, routes: `- {match: {prefix: /}, route: {cluster: aws}}`,
			want: `[{"match":{"prefix":"/"},"route":{"cluster":"aws"}}]`, bound: "- -",
		},
		{
			name: "weighted clusters of which one has retries", policy: `{"clusters": {"aws": {` + retry + `}}}`,
			routes: `- {match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: aws, weight: 1}, {name: eu, weight: 1}]}}}`,
			want:   `[{"match":{"prefix":"/"},"route":{"retry_policy":` + delays + `,"weighted_clusters":{"clusters":[{"name":"aws","weight":1},{"name":"eu","weight":1}]}}}]`,
			bound:  "4294967295 4294967295",
		},
		{
			name: "failover of a policy by name goes by the other cluster's own", routes: `- {match: {prefix: /}, route: {cluster: aws}, metadata: {filter_metadata: {weir: {policy: away}}}}`,
			policy: `{"policies": {"away": {"retry": {"base_delay": "3s"}, ` + failover + `}}, "clusters": {"eu": {` + retry + `}}}`,
			want: `[{` + toEU + `"metadata":{"filter_metadata":{"weir":{"policy":"away"}}},` + removed + `"route":{"cluster":"eu","retry_policy":` + delays + `}},` +
				`{"match":{"prefix":"/"},"metadata":{"filter_metadata":{"weir":{"policy":"away"}}},"route":{"cluster":"aws","retry_policy":` +
				strings.NewReplacer("0.010s", "3s", `"2s"`, `"60s"`).Replace(delays) + `}}]`, bound: "4294967295 4294967295",
		},
		{
			name: "bounds of routes with priority", policy: `{"clusters": {"aws": {` + retry + `}}}`, routes: `- {match: {prefix: /}, route: {cluster: aws, priority: HIGH}}
- {match: {prefix: /a}, route: {cluster: aws}}`,
			want:  `[{"match":{"prefix":"/"},"route":{"cluster":"aws","priority":"HIGH","retry_policy":` + delays + `}},{"match":{"prefix":"/a"},"route":{"cluster":"aws","retry_policy":` + delays + `}}]`,
			bound: "4294967295HIGH,4294967295 -",
		},
		{
			name: "policies by name of a route and of a cluster", policy: `{"policies": {"calm": {` + retry + `}, "off": {}}, "clusters": {"aws": {` + retry + `}, "eu": {}}}`,
			routes: `
- {match: {prefix: /a}, route: {cluster: aws}, metadata: {filter_metadata: {weir: {policy: "off"}}}}
- {match: {prefix: /b}, route: {cluster: eu}}`,
			want: `[{"match":{"prefix":"/a"},"metadata":{"filter_metadata":{"weir":{"policy":"off"}}},"route":{"cluster":"aws"}},` +
				`{"match":{"prefix":"/b"},"route":{"cluster":"eu","retry_policy":` + delays + `}}]`, bound: "- 4294967295",
		},
		{
			name: "failover", policy: `{"clusters": {"aws": {` + failover + `}, "eu": {` + retry + `}}}`,
			routes: `
- {match: {path: /health}, direct_response: {status: 200}}
- {match: {prefix: /}, name: all, route: {cluster: aws}}`,
			want: `[{"direct_response":{"status":200},"match":{"path":"/health"}},` +
				`{` + toEU + `"name":"all/eu",` + removed + `"route":{"cluster":"eu","retry_policy":` + delays + `}},` +
				`{"match":{"prefix":"/"},"name":"all","route":{"cluster":"aws"}}]`, bound: "- 4294967295",
		},
		{
			name: "failover that the file has already", policy: `{"clusters": {"aws": {` + failover + `}}}`,
			routes: `
- {match: {prefix: /, headers: [{name: X-Weir-Cluster, string_match: {exact: eu}}]}, route: {cluster: eu, host_rewrite_literal: eu.example}}
- {match: {prefix: /}, route: {cluster: aws, host_rewrite_literal: aws.example}}`,
			want: `[{"match":{"headers":[{"name":"X-Weir-Cluster","string_match":{"exact":"eu"}}],"prefix":"/"},"route":{"cluster":"eu","host_rewrite_literal":"eu.example"}},` +
				`{"match":{"prefix":"/"},"route":{"cluster":"aws","host_rewrite_literal":"aws.example"}}]`, bound: "- -",
		},
		{
			name: "shadow changes nothing that acts", policy: `{"clusters": {"aws": {"mode": "shadow", ` + retry + `, ` + failover + `}}}`,
			routes: `- {match: {prefix: /}, route: {cluster: aws, host_rewrite_literal: aws.example, retry_policy: {retry_on: 5xx}}}`,
			want:   `[{"match":{"prefix":"/"},"route":{"cluster":"aws","host_rewrite_literal":"aws.example","retry_policy":{"retry_on":"5xx"}}}]`, bound: "- -", warnings: 2,
		},
		{
			name: "shadow with routes that can't be changed", policy: `{"clusters": {"aws": {"mode": "shadow", ` + retry + `}}}`, host: "{}\n                      matcher: {a: b}",
			routes: `- {match: {prefix: /}, route: {cluster: aws}}`, want: `[{"match":{"prefix":"/"},"route":{"cluster":"aws"}}]`, bound: "- -", warnings: 1,
		},
		{
			name: "off", policy: `{"clusters": {"aws": {"mode": "off", ` + retry + `, ` + failover + `}}}`,
			routes: `- {match: {prefix: /}, route: {cluster: aws, retry_policy: {retry_on: 5xx}}}`,
			want:   `[{"match":{"prefix":"/"},"route":{"cluster":"aws","retry_policy":{"retry_on":"5xx"}}}]`, bound: "- -",
		},
		{
			name: "names of policies that are not there", policy: `{"policies": {"calm": {}, "unused": {}}, "clusters": {"aws": {}}}`,
			routes: `- {match: {prefix: /}, route: {cluster: aws}, metadata: {filter_metadata: {weir: {policy: nobody}}}}`,
			want:   `[{"match":{"prefix":"/"},"metadata":{"filter_metadata":{"weir":{"policy":"nobody"}}},"route":{"cluster":"aws"}}]`, bound: "- -", warnings: 2,
		},
		{
			name: "a cluster that the file has not", policy: `{"clusters": {"amazon": {"rate_limit": {}}, "a*": {}}}`, routes: `- {match: {prefix: /}, route: {cluster: aws}}`,
			want: `[{"match":{"prefix":"/"},"route":{"cluster":"aws"}}]`, bound: "- -", warnings: 1,
		},
		{
			name: "one of weighted clusters from a header", policy: `{"default": {` + retry + `}}`, bound: "4294967295 -", warnings: 1,
			routes: `- {match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: aws, weight: 1}, {cluster_header: x-to, weight: 1}]}}}`,
			want:   `[{"match":{"prefix":"/"},"route":{"retry_policy":` + delays + `,"weighted_clusters":{"clusters":[{"name":"aws","weight":1},{"cluster_header":"x-to","weight":1}]}}}]`,
		},
		{
			name: "a cluster from a header", policy: `{"default": {` + retry + `}}`, routes: `- {match: {prefix: /}, route: {cluster_header: x-to}}`,
			want: `[{"match":{"prefix":"/"},"route":{"cluster_header":"x-to"}}]`, bound: "- -", warnings: 1,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			host := ""
			if tc.host != "" {
				host = "                      retry_policy: " + tc.host + "\n"
			}
			routes := strings.ReplaceAll("\n"+strings.TrimSpace(tc.routes), "\n", "\n                        ")[1:] + "\n"
			envoy := intoRoutesEnvoy(routes, host)
			if strings.Contains(tc.policy, `"calm"`) {
				envoy += "      metadata: {filter_metadata: {weir: {policy: calm}}}\n"
			}
			text, warnings, err := into(t, envoy, tc.policy)
			if err != nil {
				t.Fatal(err)
			}
			var whole struct {
				Static struct {
					Listeners []struct {
						Chains []struct {
							Filters []struct {
								Typed struct {
									Config struct {
										Hosts []struct{ Routes any } `json:"virtual_hosts"`
									} `json:"route_config"`
								} `json:"typed_config"`
							}
						} `json:"filter_chains"`
					}
					Clusters []struct {
						Breakers struct {
							Thresholds []struct {
								Priority string
								Retries  json.Number `json:"max_retries"`
							}
						} `json:"circuit_breakers"`
					}
				} `json:"static_resources"`
			}
			if err := yaml.Unmarshal(text, &whole); err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			got, err := json.Marshal(whole.Static.Listeners[0].Chains[0].Filters[0].Typed.Config.Hosts[0].Routes)
			if err != nil || string(got) != tc.want {
				t.Errorf("got routes\n%s, want\n%s", got, tc.want)
			}
			bounds := []string{"-", "-"}
			for i, c := range whole.Static.Clusters {
				for j, b := range c.Breakers.Thresholds {
					if bounds[i] += "," + b.Retries.String() + b.Priority; j == 0 {
						bounds[i] = b.Retries.String() + b.Priority
					}
				}
			}
			if b := strings.Join(bounds, " "); b != tc.bound {
				t.Errorf("got max_retries %s, want %s", b, tc.bound)
			}
			if len(warnings) != tc.warnings {
				t.Errorf("got warnings %q, want %d", warnings, tc.warnings)
			}
		})
	}
}

func TestIntoRefuses(t *testing.T) {
	const (
		retries  = `{"clusters": {"aws": {"retry": {"per_try_timeout": "1s"}}}}`
		failover = `{"clusters": {"aws": {"circuit_breaker": {}, "failover": {"to": ["eu"]}}}}`
	)
	route := func(action string) string {
		return intoRoutesEnvoy("                        - match: {prefix: /}\n                          route: "+action+"\n", "")
	}
	for _, tc := range []struct{ envoy, policy, want string }{
		{"static_resources: {listeners: [{name: a}]}", document, "no listener of its static_resources has an http_connection_manager"},
		{strings.ReplaceAll(ownEnvoy, "envoy.filters.http.router}", "other}"), document, "line 7: the connection manager one has no envoy.filters.http.router among its http_filters"},
		{strings.ReplaceAll(ownEnvoy, "{name: mine}, {name: envoy", "{name: weir}, {name: envoy"), document, "line 8: the connection manager one has a filter of Weir already, weir:"},
		{strings.ReplaceAll(ownEnvoy, "{name: mine}, {name: envoy", "{name: mine, typed_config: {config: {root_id: weir}}}, {name: envoy"), document, "has a filter of Weir already, mine:"},
		{strings.ReplaceAll(ownEnvoy, "{name: mine}, {name: envoy", "{name: mine, typed_config: {config: {vm_config: {code: {local: {filename: /etc/weir.wasm}}}}}}, {name: envoy"), document, "has a filter of Weir already, mine:"},
		{route(`{weighted_clusters: {clusters: [{name: aws, weight: 1}]}}`), failover, "this route has weighted_clusters, and the cluster aws fails over to eu"},
		{strings.Replace(route(`{cluster: aws}`), "virtual_hosts:", "vhds: {}\n                  virtual_hosts:", 1), retries, "line 13: virtual hosts of the connection manager one come from a control plane (vhds), too"},
		{"[]", document, "an envoy.yaml must be an object"},
		{"a: [", document, "line"},
		{ownEnvoy, retries, "line 7: the routes of the connection manager one come from a control plane (rds, scoped_routes)"},
		{route(`{cluster: aws, retry_policy: {retry_on: 5xx, num_retries: 2}}`), retries, "line 18: retry_on of this retry_policy and the policy's retry of the cluster aws contradict each other: remove retry_on here, where the policy's retry_on counts"},
		{route(`{cluster: aws, retry_policy: {num_retries: 2}}`), retries, "where the policy's max_attempts counts"},
		{route(`{cluster: aws, retry_policy: {per_try_timeout: 2s}}`), retries, "line 18: per_try_timeout of this"},
		{route(`{cluster: aws, retry_policy: {retry_back_off: {base_interval: 9s}}}`), retries, "where the policy's base_delay and max_delay counts"},
		{route(`{cluster: aws, retry_policy_typed_config: {name: x}}`), retries, "line 18: this retry_policy_typed_config would not count"},
		{
			intoRoutesEnvoy("                        - {match: {prefix: /}, route: {cluster: aws}}\n", "                      retry_policy: {retry_on: 5xx}\n"), retries,
			"line 16: retry_on of this retry_policy",
		},
		{route(`{weighted_clusters: {clusters: [{name: aws}, {name: eu}]}}`), `{"clusters": {"aws": {"retry": {}}, "eu": {"retry": {"base_delay": "9s"}}}}`, "line 17: this route has weighted_clusters, and aws and eu have different delays"},
		{route(`{weighted_clusters: {clusters: [{name: aws}, {name: eu}]}}`), failover, "line 17: this route has weighted_clusters, and the cluster aws fails over to eu: write the route to eu by hand"},
		{route(`{cluster: aws, host_rewrite_literal: aws.example}`), failover, `line 18: this route to aws sets the host to "aws.example", and which one eu serves is not known: write the route to eu by hand, before this one: a copy with match.headers: [{name: x-weir-cluster, string_match: {exact: eu}}]`},
		{strings.Replace(route(`{cluster: aws}`), "name: eu", "name: us", 1), failover, "line 17: requests of this route fail over from aws to eu, and the file has no cluster eu: add it"},
		{route(`{cluster: eu}`), failover, "clusters.aws.failover: no route of the file has cluster: aws"},
		{strings.Replace(route(`{cluster: aws}`), "routes:", "matcher: {a: b}\n                      routes:", 1), failover, "line 16: the virtual host all chooses its routes by a matcher"},
		{ownEnvoy, `{"admin": {}}`, "policy: admin is only for a separate listener"},
		{ownEnvoy, `{"attempts": {}}`, "policy: attempts is only for the internal listener of retry.via"},
		{route(`{cluster: aws}`), `{"clusters": {"aws": {"retry": {"driver": "filter", "via": "x"}}}}`, "clusters.aws.retry: driver filter needs an internal listener with your routes"},
	} {
		if text, _, err := into(t, tc.envoy, tc.policy); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("Into(%s, %s): got %s and %v, want %q", tc.envoy, tc.policy, text, err, tc.want)
		}
	}
}

// TestIntoReplacesAliases: a list that two connection managers share by an alias gets the filter in both, once.
func TestIntoReplacesAliases(t *testing.T) {
	envoy := strings.Replace(ownEnvoy, "http_filters: [{name: mine}, ", "http_filters: &filters [{name: mine}, ", 1)
	i := strings.LastIndex(envoy, "http_filters: ")
	envoy = envoy[:i] + "http_filters: *filters}}]}\n"
	text, _, err := into(t, envoy, document)
	if n := strings.Count(string(text), "name: resolve_route"); err != nil || n != 2 {
		t.Errorf("got %d filters resolve_route and %v in\n%s\nwant one in each of the two", n, err, text)
	}
}

// TestIntoKeepsLineEnds: a file whose lines end in CR LF does not become another one in each line.
func TestIntoKeepsLineEnds(t *testing.T) {
	text, _, err := into(t, strings.ReplaceAll(ownEnvoy, "\n", "\r\n"), document)
	if all, cr := strings.Count(string(text), "\n"), strings.Count(string(text), "\r\n"); err != nil || cr != all {
		t.Errorf("got %d of %d lines that end in CR LF, and %v, want all", cr, all, err)
	}
}

// TestIntoKeepsFirstComments: also those of a file with aliases.
func TestIntoKeepsFirstComments(t *testing.T) {
	envoy := "# first\n\n# second\n" + strings.Replace(ownEnvoy[1:], "{id: mine}", "&n {id: mine}", 1) + "x: *n\n"
	text, _, err := into(t, envoy, document)
	if want := intoHeader + "# first\n\n# second\nstats_config:"; err != nil || !strings.HasPrefix(string(text), want) {
		t.Errorf("got %s and %v, want it to begin with %q", text, err, want)
	}
}

// TestIntoReadsNamesOfJSON: Envoy takes retryPolicy for retry_policy.
func TestIntoReadsNamesOfJSON(t *testing.T) {
	written := strings.NewReplacer("http_filters", "httpFilters", "filter_chains", "filterChains", "static_resources", "staticResources", "virtual_hosts", "virtualHosts",
		"route_config", "routeConfig", "typed_config", "typedConfig", "retry_policy", "retryPolicy", "retry_back_off", "retryBackOff", "base_interval", "baseInterval")
	const document = `{"clusters": {"aws": {"circuit_breaker": {}, "retry": {"base_delay": "1s"}, "failover": {"to": ["eu"]}}}}`
	const action = "{cluster: aws, retry_policy: {host_selection_retry_max_attempts: 3}}"
	envoy := intoRoutesEnvoy("                        - {match: {prefix: /}, route: "+action+"}\n", "")
	want, _, err := into(t, envoy, document)
	if err != nil {
		t.Fatal(err)
	}
	got, warnings, err := into(t, written.Replace(envoy), document)
	if err != nil || len(warnings) > 0 || written.Replace(string(got)) != written.Replace(string(want)) {
		t.Errorf("got %s, %q and %v, want it like\n%s", got, warnings, err, want)
	}
	for _, other := range []string{"hostRewriteLiteral: a", "retryPolicy: {numRetries: 2}"} {
		envoy := intoRoutesEnvoy("                        - {match: {prefix: /}, route: {cluster: aws, "+other+"}}\n", "")
		if text, _, err := into(t, envoy, document); err == nil || !strings.Contains(err.Error(), "line 17") {
			t.Errorf("%s: got %s and %v, want an error about it", other, text, err)
		}
	}
}

// TestIntoUpgrades: filters of an upgrade take the place of the others, so that a WebSocket passed by Weir.
func TestIntoUpgrades(t *testing.T) {
	own := strings.Replace(ownEnvoy, "stat_prefix: one,", "stat_prefix: one, upgrade_configs: [{upgrade_type: websocket, filters: [{name: envoy.filters.http.router}]}, {upgrade_type: CONNECT}],", 1)
	text, _, err := into(t, own, document)
	if n := strings.Count(string(text), "name: resolve_route"); err != nil || n != 3 {
		t.Errorf("got %d filters resolve_route and %v in\n%s\nwant one in each of three lists", n, err, text)
	}
	if _, _, err := into(t, strings.Replace(own, "filters: [{name: envoy.filters.http.router}]}, {up", "filters: [{name: other}]}, {up", 1), document); err == nil ||
		!strings.Contains(err.Error(), "line 7: the upgrade websocket of the connection manager one has no envoy.filters.http.router among its filters") {
		t.Errorf("got %v, want an error about the upgrade's filters", err)
	}
}

// TestIntoWithControlPlane: what a file leaves to a control plane is said, although the rest is put in.
func TestIntoWithControlPlane(t *testing.T) {
	text, warnings, err := into(t, ownEnvoy+"dynamic_resources: {lds_config: {ads: {}}}\n", document)
	if all := strings.Join(warnings, "\n"); err != nil || !strings.Contains(all, "it has none in static_resources") || !strings.Contains(all, "line 14: listeners that come by lds_config have no Weir") {
		t.Errorf("got %s, %q and %v, want warnings about the other listeners and about the cluster", text, warnings, err)
	}
}

// TestIntoTwoAdminListeners: of two listeners of one name Envoy would open one.
func TestIntoTwoAdminListeners(t *testing.T) {
	o := options()
	o.Admin = "9902"
	text, _, err := Into([]byte(strings.Replace(ownEnvoy, "name: tcp", "name: weir_admin", 1)), o)
	if err == nil || !strings.Contains(err.Error(), "line 9: the file has a listener weir_admin already") {
		t.Errorf("got %s and %v, want an error about the listener", text, err)
	}
}

// TestIntoSaysOnce: what concerns several routes of a file is one line.
func TestIntoSaysOnce(t *testing.T) {
	const routes = "                        - {match: {prefix: /a}, route: {cluster: aws}}\n                        - {match: {prefix: /}, route: {cluster: aws}}\n"
	const retries = `{"clusters": {"aws": {"retry": {}}}}`
	_, _, err := into(t, intoRoutesEnvoy(routes, "                      retry_policy: {retry_on: 5xx}\n"), retries)
	if err == nil || strings.Count(err.Error(), "contradict each other") != 1 {
		t.Errorf("got %v, want one error about the virtual host", err)
	}
	bound := strings.Replace(intoRoutesEnvoy(routes, ""), "connect_timeout: 0x1s", "circuit_breakers: {thresholds: [{max_retries: 5}]}", 1)
	if _, warnings, err := into(t, bound, retries); err != nil || len(warnings) != 1 {
		t.Errorf("got %q and %v, want one warning about max_retries", warnings, err)
	}
}

// TestIntoKeepsTexts: the YAML library writes some folded blocks with an empty line more.
func TestIntoKeepsTexts(t *testing.T) {
	envoy := ownEnvoy + "a: >\n  one\n  two\n\n  para\n    indented\n  back\nb: >+\n  x\n\n\nc: |+\n  y\n\n\nd: >-\n  z\n\n  z\ne: |2\n    indented \n  \tb\n"
	text, _, err := into(t, envoy, document)
	if err != nil {
		t.Fatal(err)
	}
	type texts struct{ A, B, C, D, E string }
	var got, want texts
	if err := errors.Join(yaml.Unmarshal(text, &got), yaml.Unmarshal([]byte(envoy), &want)); err != nil || got != want || want.A != "one two\npara\n  indented\nback\n" {
		t.Errorf("got %q and %v, want %q", got, err, want)
	}
}

// TestIntoSaysWhichCommentIsLost: the YAML library knows no comment right behind a {.
func TestIntoSaysWhichCommentIsLost(t *testing.T) {
	envoy := strings.Replace(intoRoutesEnvoy("", ""), "{name: aws, connect_timeout: 0x1s}", "{ # quick\n      name: aws, connect_timeout: 0x1s} # slow\n      # {", 1)
	text, warnings, err := into(t, envoy, `{"clusters": {"aws": {"rate_limit": {}}}}`)
	want := []string{"line 18: the comment # quick is lost: write it in a line of its own, right before what it is about"}
	if err != nil || !slices.Equal(warnings, want) {
		t.Errorf("got %q and %v, want %q in\n%s", warnings, err, want, text)
	}
}

// TestIntoReadsPairsOfJSON: of an envoy.json.
func TestIntoReadsPairsOfJSON(t *testing.T) {
	text, _, err := into(t, `{"static_resources": {"listeners": [{"name": "\ud83d\ude00", "filter_chains": [{"filters": [{"typed_config": {"@type": "x.HttpConnectionManager", "http_filters": [{"name": "envoy.filters.http.router"}]}}]}]}]}}`, document)
	if err != nil || !strings.Contains(string(text), `"\U0001F600"`) {
		t.Errorf("got %s and %v, want the listener's name", text, err)
	}
}
