package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	// The types that the YAML below names.
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/aggregate/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_to_metadata/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_filter_state/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/set_metadata/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/router/cluster_specifiers/lua/v3"
)

// noReplacer is for rows that name their clusters.
var noReplacer = strings.NewReplacer()

// earlier is what stands before Weir and sends a request to another cluster than its first route says: with the header
// x-plan: gold to GOLD, else to FREE.
type earlier struct {
	name    string
	filters string // YAML, a list of HTTP filters
	routes  string // YAML, a list of routes
	headers []string
	kept    bool // nothing clears the route: it stays the first one, also without the filter that resolves it
}

const types = "type.googleapis.com/envoy.extensions.filters.http."

// byTier are the routes of most rows: a filter sets x-tier.
const byTier = `
- {match: {prefix: /, headers: [{name: x-tier, string_match: {exact: gold}}]}, route: {cluster: GOLD}}
- {match: {prefix: /}, route: {cluster: FREE}}
`

// clears is a Lua filter that clears the route.
const clears = `
- name: clears
  typed_config: {"@type": ` + types + `lua.v3.Lua, default_source_code: {inline_string: "function envoy_on_request(h) h:clearRouteCache() end"}}
`

// toTier is a Lua filter that sets x-tier by x-plan, and clears the route.
const toTier = `
- name: tier
  typed_config:
    "@type": ` + types + `lua.v3.Lua
    default_source_code:
      inline_string: |
        function envoy_on_request(h)
          local plan = h:headers():get("x-plan")
          if plan then h:headers():replace("x-tier", plan) end
          h:clearRouteCache()
        end
`

// plans are the headers by which each row knows a request that is to go to GOLD.
var plans = []string{"x-plan", "gold"}

// earlierFilters has a row for each kind of filter that changes a route.
var earlierFilters = []earlier{
	{name: "lua", filters: toTier, routes: byTier},
	{name: "wasm", routes: byTier, filters: `
- name: tier
  typed_config:
    "@type": ` + types + `wasm.v3.Wasm
    config: {name: tier, vm_config: {vm_id: tier, runtime: envoy.wasm.runtime.v8, code: {local: {filename: TIER_WASM}}}}
`},
	{name: "ext-authz-http", routes: byTier, filters: `
- name: authz
  typed_config:
    "@type": ` + types + `ext_authz.v3.ExtAuthz
    clear_route_cache: true
    http_service:
      server_uri: {uri: "http://authz", cluster: authz, timeout: 5s}
      authorization_request: {allowed_headers: {patterns: [{exact: x-plan}]}}
      authorization_response: {allowed_upstream_headers: {patterns: [{exact: x-tier}]}}
`},
	{name: "ext-authz-grpc", routes: byTier, filters: `
- name: authz
  typed_config:
    "@type": ` + types + `ext_authz.v3.ExtAuthz
    clear_route_cache: true
    grpc_service: {envoy_grpc: {cluster_name: grpc-authz}, timeout: 5s}
`},
	{name: "ext-proc", routes: byTier, filters: `
- name: proc
  typed_config:
    "@type": ` + types + `ext_proc.v3.ExternalProcessor
    grpc_service: {envoy_grpc: {cluster_name: grpc-authz}, timeout: 5s}
    processing_mode: {response_header_mode: SKIP}
    route_cache_action: CLEAR
    message_timeout: 5s
`},
	{name: "jwt-authn", routes: byTier, headers: []string{"authorization", "Bearer " + token(`{"iss":"e2e","tier":"gold"}`)}, filters: `
- name: jwt
  typed_config:
    "@type": ` + types + `jwt_authn.v3.JwtAuthentication
    providers:
      e2e:
        issuer: e2e
        local_jwks: {inline_string: '{"keys":[{"kty":"oct","alg":"HS256","k":"` + base64.RawURLEncoding.EncodeToString(jwtSecret) + `"}]}'}
        claim_to_headers: [{header_name: x-tier, claim_name: tier}]
        clear_route_cache: true
    rules: [{match: {prefix: /}, requires: {requires_any: {requirements: [{provider_name: e2e}, {allow_missing: {}}]}}}]
`},
	{name: "jwt-metadata", headers: []string{"authorization", "Bearer " + token(`{"iss":"e2e","tier":"gold"}`)}, filters: `
- name: jwt
  typed_config:
    "@type": ` + types + `jwt_authn.v3.JwtAuthentication
    providers:
      e2e:
        issuer: e2e
        local_jwks: {inline_string: '{"keys":[{"kty":"oct","alg":"HS256","k":"` + base64.RawURLEncoding.EncodeToString(jwtSecret) + `"}]}'}
        payload_in_metadata: jwt
        clear_route_cache: true
    rules: [{match: {prefix: /}, requires: {requires_any: {requirements: [{provider_name: e2e}, {allow_missing: {}}]}}}]
`, routes: `
- match: {prefix: /, dynamic_metadata: [{filter: envoy.filters.http.jwt_authn, path: [{key: jwt}, {key: tier}], value: {string_match: {exact: gold}}}]}
  route: {cluster: GOLD}
- {match: {prefix: /}, route: {cluster: FREE}}
`},
	{name: "header-mutation", routes: byTier, filters: `
- name: mutation
  typed_config:
    "@type": ` + types + `header_mutation.v3.HeaderMutation
    mutations: {request_mutations: [{append: {header: {key: x-tier, value: "%REQ(x-plan)%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]}
` + clears},
	{name: "header-mutation-kept", kept: true, routes: byTier, filters: `
- name: mutation
  typed_config:
    "@type": ` + types + `header_mutation.v3.HeaderMutation
    mutations: {request_mutations: [{append: {header: {key: x-tier, value: "%REQ(x-plan)%"}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]}
`},
	{name: "set-metadata", filters: `
- name: metadata
  typed_config:
    "@type": ` + types + `set_metadata.v3.Config
    metadata: [{metadata_namespace: tiers, value: {moved: true}}]
` + clears, routes: `
- match:
    prefix: /
    headers: [{name: x-plan, string_match: {exact: gold}}]
    dynamic_metadata: [{filter: tiers, path: [{key: moved}], value: {bool_match: true}}]
  route: {cluster: GOLD}
- {match: {prefix: /}, route: {cluster: FREE}}
`},
	{name: "header-to-metadata", filters: `
- name: metadata
  typed_config:
    "@type": ` + types + `header_to_metadata.v3.Config
    request_rules: [{header: x-plan, on_header_present: {metadata_namespace: tiers, key: tier}}]
` + clears, routes: `
- match: {prefix: /, dynamic_metadata: [{filter: tiers, path: [{key: tier}], value: {string_match: {exact: gold}}}]}
  route: {cluster: GOLD}
- {match: {prefix: /}, route: {cluster: FREE}}
`},
	{name: "set-filter-state", filters: `
- name: state
  typed_config:
    "@type": ` + types + `set_filter_state.v3.Config
    on_request_headers: [{object_key: tier, factory_key: envoy.string, format_string: {text_format_source: {inline_string: "%REQ(x-plan)%"}}}]
    clear_route_cache: true
`, routes: `
- match: {prefix: /, filter_state: [{key: tier, string_match: {exact: gold}}]}
  route: {cluster: GOLD}
- {match: {prefix: /}, route: {cluster: FREE}}
`},
	{name: "cluster-header", filters: `
- name: cluster
  typed_config:
    "@type": ` + types + `lua.v3.Lua
    default_source_code:
      inline_string: |
        function envoy_on_request(h)
          if h:headers():get("x-plan") == "gold" then h:headers():replace("x-cluster", "GOLD") end
          h:clearRouteCache()
        end
`, headers: []string{"x-cluster", "FREE"}, routes: `
- match: {prefix: /, headers: [{name: x-cluster, present_match: true}]}
  route: {cluster_header: x-cluster}
- {match: {prefix: /}, route: {cluster: FREE}}
`},
	{name: "weighted", filters: toTier, routes: `
- match: {prefix: /, headers: [{name: x-tier, string_match: {exact: gold}}]}
  route: {weighted_clusters: {clusters: [{name: GOLD, weight: 1}]}}
- match: {prefix: /}
  route: {weighted_clusters: {clusters: [{name: FREE, weight: 1}]}}
`},
	{name: "specifier", filters: toTier, routes: `
- match: {prefix: /}
  route:
    inline_cluster_specifier_plugin:
      extension:
        name: by_tier
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.router.cluster_specifiers.lua.v3.LuaConfig
          source_code:
            inline_string: |
              function envoy_on_route(h)
                if h:headers():get("x-tier") == "gold" then return "GOLD" end
                return "FREE"
              end
`},
}

// put makes the row a listener's: its filters stand before all others, its routes replace the rendered ones. The
// clusters are gold and free, and place replaces more names in the YAML.
func (e *earlier) put(t *testing.T, manager *hcmv3.HttpConnectionManager, place *strings.Replacer) {
	t.Helper()
	var filters hcmv3.HttpConnectionManager
	fromYAML(t, place.Replace("http_filters:\n"+e.filters), &filters)
	manager.HttpFilters = append(filters.GetHttpFilters(), manager.GetHttpFilters()...)
	var host routev3.VirtualHost
	fromYAML(t, place.Replace("name: all\ndomains: [\"*\"]\nroutes:\n"+e.routes), &host)
	manager.GetRouteConfig().VirtualHosts = []*routev3.VirtualHost{&host}
}

func fromYAML(t *testing.T, text string, m proto.Message) {
	t.Helper()
	asJSON, err := yaml.YAMLToJSONStrict([]byte(text))
	if err == nil {
		err = protojson.Unmarshal(asJSON, m)
	}
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

var jwtSecret = []byte("a secret of the end-to-end tests")

// token is a signed JWT with these claims.
func token(claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode([]byte(`{"alg":"HS256"}`)) + "." + encode([]byte(claims))
	mac := hmac.New(sha256.New, jwtSecret)
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}
