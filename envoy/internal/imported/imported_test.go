package imported

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// envoyRoutes has actions as they are written for a rate limit service.
const envoyRoutes = `
route_config:
  virtual_hosts:
  - routes:
    - match: {prefix: /login}
      route:
        cluster: accounts
        rate_limits:
        - actions: [{generic_key: {descriptor_value: login}}, {request_headers: {header_name: x-user, descriptor_key: user}}]
    - match: {prefix: /shop}
      route:
        cluster: shop
        rate_limits:
        - actions: [{generic_key: {descriptor_value: buy}}]
        - actions: [{generic_key: {descriptor_key: tier, descriptor_value: all}}, {request_headers: {header_name: ":path", descriptor_key: where}}]
        - actions: [{masked_remote_address: {v4_prefix_mask_len: 24}}, {query_parameters: {query_parameter_name: id, descriptor_key: id}}]
        - actions: [{header_value_match: {descriptor_value: bot}}, {request_headers: {header_name: ":authority", descriptor_key: host}}]
    - match: {prefix: /}
      route:
        cluster: shop
        rate_limits:
        - actions: [{generic_key: {descriptor_key: tier, descriptor_value: all}}]
`

func TestDescriptors(t *testing.T) {
	for name, test := range map[string]struct {
		in      string // the list of descriptors
		options Options
		want    string // without the comments and redis
		left    []string
	}{
		"a cluster": {
			"[{key: destination_cluster, value: a, rate_limit: {unit: Second, requests_per_unit: 5}}]",
			Options{},
			"clusters:\n  a:\n    rate_limit:\n      requests: 5\n      window_size: 1s\n      scope: mesh\n", nil,
		},
		"each cluster, one in shadow mode, and one without": {
			"[{key: destination_cluster, rate_limit: {unit: day, requests_per_unit: 5}}, {key: destination_cluster, value: a, shadow_mode: true, rate_limit: {unit: hour, requests_per_unit: 6}},\n" +
				" {key: destination_cluster, value: b, rate_limit: {unlimited: true}}]",
			Options{},
			"clusters:\n  a:\n    mode: shadow\n    rate_limit:\n      requests: 6\n      window_size: 1h\n      scope: mesh\n  b: {}\n" +
				"default:\n  rate_limit:\n    requests: 5\n    window_size: 24h\n    scope: mesh\n", nil,
		},
		"by the client within a cluster, in YAML of the service": {
			"[{key: destination_cluster, value: a*, descriptors: [{key: remote_address, rate_limit: {unit: minute, requests_per_unit: 1_000}}]}]",
			Options{},
			"clusters:\n  \"a*\":\n    rate_limit:\n      requests: 1000\n      window_size: 60s\n      scope: mesh\n      key: [client_ip]\n", nil,
		},
		"keys of actions that were named": {
			"[{key: user, descriptors: [{key: page, rate_limit: {unit: minute, requests_per_unit: 9}}]}]",
			Options{Cluster: "on", Keys: map[string]Part{"user": "header:x-user", "page": "path"}},
			"clusters:\n  \"on\":\n    rate_limit:\n      requests: 9\n      window_size: 60s\n      scope: mesh\n      key: [{header: x-user}, path]\n", nil,
		},
		"keys of Envoy's actions": {
			"[{key: generic_key, value: login, descriptors: [{key: user, rate_limit: {unit: minute, requests_per_unit: 3}}]},\n" +
				" {key: tier, value: all, descriptors: [{key: where, rate_limit: {unit: minute, requests_per_unit: 4}}]},\n" +
				" {key: generic_key, value: buy, rate_limit: {unit: minute, requests_per_unit: 5}},\n" +
				" {key: header_match, value: bot, rate_limit: {unit: minute, requests_per_unit: 6}},\n" +
				" {key: host, rate_limit: {unit: minute, requests_per_unit: 7}},\n" +
				" {key: masked_remote_address, descriptors: [{key: id, rate_limit: {unit: minute, requests_per_unit: 8}}]}]",
			Options{Envoy: []byte(envoyRoutes), Cluster: "web"},
			"clusters:\n  accounts:\n    rate_limit:\n      requests: 3\n      window_size: 60s\n      scope: mesh\n      key: [{header: x-user}]\n" +
				"  shop:\n    rate_limit:\n      requests: 4\n      window_size: 60s\n      scope: mesh\n      key: [path]\n" +
				"  web:\n    rate_limit:\n      requests: 8\n      window_size: 60s\n      scope: mesh\n      key: [{client_ip: {ipv4_prefix: 24, ipv6_prefix: 128}}, {query: id}]\n",
			[]string{
				"5:45 descriptors[2].rate_limit: is of 1 of the 2 routes to shop, and a policy's limit is of all requests of a cluster",
				"6:46 descriptors[3].rate_limit: the key header_match is made by Envoy's action header_value_match, and a policy has nothing like it",
				"7:26 descriptors[4].rate_limit: the key host is made of :authority, which is no part of a policy's key",
			},
		},
		"what a policy can't say": {
			"[{key: destination_cluster, value: a, rate_limit: {unit: minute, requests_per_unit: 5, replaces: [{name: x}]}, detailed_metric: true,\n" +
				"  descriptors: [{key: remote_address, rate_limit: {unit: minute, requests_per_unit: 1}},\n" +
				"   {key: remote_address, value: 192.0.2.1, rate_limit: {unlimited: true}}]},\n" +
				" {key: destination_cluster, value: b, rate_limit: {unit: week, requests_per_unit: 5}},\n" +
				" {key: destination_cluster, value: c, rate_limit: {unit: minute, requests_per_unit: 0}},\n" +
				" {key: destination_cluster, value: d, rate_limit: {unit: minute, requests_per_unit: many}},\n" +
				" {key: destination_cluster, value: e, descriptors: [{key: destination_cluster, rate_limit: {unit: minute, requests_per_unit: 2}}, {key: remote_address, rate_limit: {unlimited: true}}]},\n" +
				" {key: destination_cluster, value: f*, share_threshold: true, rate_limit: {unit: minute, requests_per_unit: 5}},\n" +
				" {key: remote_address, rate_limit: {unit: minute, requests_per_unit: 5}},\n" +
				" {key: mystery, value: x, rate_limit: {unit: minute, requests_per_unit: 5}}]",
			Options{},
			"clusters:\n  a:\n    rate_limit:\n      requests: 5\n      window_size: 60s\n      scope: mesh\n",
			[]string{
				"3:89 descriptors[0].rate_limit.replaces: a policy has one limit for a cluster, which replaces none",
				"3:113 descriptors[0].detailed_metric: Weir's metrics are by cluster",
				"4:51 descriptors[0].descriptors[0].rate_limit: is another limit of a, and a policy has one for a cluster: that of line 3 is converted",
				"5:56 descriptors[0].descriptors[1].rate_limit: is for one value of remote_address, 192.0.2.1: a policy counts all values by one limit",
				"6:51 descriptors[1].rate_limit: is by the week: a window of a policy is at most 24h",
				"7:51 descriptors[2].rate_limit: admits nothing: refuse these requests by a route or by RBAC",
				"8:51 descriptors[3].rate_limit: requests_per_unit must be a whole number up to 10000000, got \"many\"",
				"9:92 descriptors[4].descriptors[0].rate_limit: names two clusters",
				"9:165 descriptors[4].descriptors[1].rate_limit: is an exception for some requests of a cluster, and a policy has none",
				"10:75 descriptors[5].rate_limit: is one limit for all values (share_threshold), and a policy counts each by itself",
				"11:36 descriptors[6].rate_limit: names no cluster: write --cluster NAME for the one whose requests it counts",
				"12:39 descriptors[7].rate_limit: Envoy's configuration says what the key mystery is: name it by --envoy FILE, or write --key mystery=PART",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			compare(t, "domain: shop\ndescriptors:\n "+test.in+"\n", test.options, test.want, test.left)
		})
	}
}

// compare compares a file's policy, without comments and the section redis, and what is left.
func compare(t *testing.T, in string, o Options, want string, left []string) {
	t.Helper()
	got, leftOver, err := File("in.yaml", []byte(in), o)
	if err != nil {
		t.Fatal(err)
	}
	var lines, listed []string
	for line := range strings.Lines(string(got)) {
		line, _, _ = strings.Cut(strings.TrimSuffix(line, "\n"), " #")
		if !strings.HasPrefix(line, "#") && line != "redis: {}" {
			lines = append(lines, line+"\n")
		}
	}
	for _, l := range leftOver {
		listed = append(listed, fmt.Sprintf("%d:%d %s: %s", l.Line, l.Column, l.Path, l.Text))
	}
	if diff := cmp.Diff(want, strings.Join(lines, "")); diff != "" {
		t.Errorf("%s\npolicy (-want +got):\n%s", in, diff)
	}
	if diff := cmp.Diff(left, listed); diff != "" {
		t.Errorf("%s\nnot converted (-want +got):\n%s", in, diff)
	}
}

const (
	localType = `"@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit`
	all       = ", filter_enabled: {default_value: {numerator: 100}}, filter_enforced: {default_value: {numerator: 1000000, denominator: MILLION}}"
)

// routeOf is a route to a cluster with a bucket of its own, in two lines.
func routeOf(cluster, bucket string) string {
	return "    - route: {cluster: " + cluster + "}\n      typed_per_filter_config: {x: {" + localType + ", " + bucket + "}}\n"
}

func TestLocalRateLimit(t *testing.T) {
	bucket := func(mode, burst, refill, more string) string {
		if mode != "" {
			mode = "    mode: " + mode + "\n"
		}
		return mode + "    rate_limit:\n      algorithm: token_bucket\n      burst_capacity: " + burst + "\n      refill_rate: " + refill + "\n" + more
	}
	const head = "route_config:\n  virtual_hosts:\n  - routes:\n"
	for name, test := range map[string]struct {
		in      string
		options Options
		want    string
		left    []string
	}{
		"enforced, in shadow, and off, as Envoy's defaults are": {
			head + routeOf("a", "token_bucket: {max_tokens: 10, tokens_per_fill: 5, fill_interval: 60s}, enable_x_ratelimit_headers: DRAFT_VERSION_03"+all) +
				routeOf("b", "token_bucket: {max_tokens: 20, fill_interval: 0.5s}, filter_enabled: {default_value: {numerator: 10000, denominator: TEN_THOUSAND}}") +
				routeOf("c", "token_bucket: {max_tokens: 30, fill_interval: 1s}"),
			Options{},
			"clusters:\n  a:\n" + bucket("", "10", "0.08333333333333333", "      headers: all\n") + "  b:\n" + bucket("shadow", "20", "2", "") + "  c:\n" + bucket("off", "30", "1", ""), nil,
		},
		"fields by their names of JSON": {
			strings.NewReplacer("token_bucket", "tokenBucket", "max_tokens", "maxTokens", "tokens_per_fill", "tokensPerFill", "fill_interval", "fillInterval", "filter_en", "filterEn", "default_value", "defaultValue",
				"route_config", "routeConfig", "virtual_hosts", "virtualHosts", "typed_per_filter_config", "typedPerFilterConfig").
				Replace(head + routeOf("a", "token_bucket: {max_tokens: 10, tokens_per_fill: 5, fill_interval: 60s}"+all)),
			Options{},
			"clusters:\n  a:\n" + bucket("", "10", "0.08333333333333333", ""), nil,
		},
		"of a filter, whose routes all lead to one cluster, and of a route before it": {
			"http_filters:\n- name: x\n  typed_config: {" + localType + ", token_bucket: {max_tokens: 1, fill_interval: 1s}" + all + "}\n" +
				head + routeOf("a", "token_bucket: {max_tokens: 2, fill_interval: 1s}"+all),
			Options{},
			"clusters:\n  a:\n" + bucket("", "2", "1", ""),
			[]string{"3:126 http_filters[0].typed_config.token_bucket: is another limit of a, and a policy has one for a cluster: that of line 8 is converted"},
		},
		"of several clusters, and of one route of two": {
			"http_filters:\n- name: x\n  typed_config: {" + localType + ", token_bucket: {max_tokens: 1, fill_interval: 1s}" + all + "}\n" +
				head + "    - route: {cluster: b}\n    - route: {cluster: a}\n" + routeOf("a", "token_bucket: {max_tokens: 2, fill_interval: 1s}"+all),
			Options{},
			"",
			[]string{
				"3:126 http_filters[0].typed_config.token_bucket: is one limit of several clusters, a, b, each of which would have its own: choose one by --cluster NAME",
				"10:145 route_config.virtual_hosts[0].routes[2].typed_per_filter_config.x.token_bucket: is of 1 of the 2 routes to a, and a policy's limit is of all requests of a cluster",
			},
		},
		"by a key, in an EnvoyFilter of Istio": {
			"apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nspec:\n  configPatches:\n  - patch:\n      value:\n        typed_config:\n" +
				"          \"@type\": type.googleapis.com/udpa.type.v1.TypedStruct\n          type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit\n" +
				"          value:\n            rate_limits: [{actions: [{request_headers: {header_name: x-user, descriptor_key: user}}]}]\n" +
				"            filter_enabled: {default_value: {numerator: 100}, runtime_key: on_now}\n            filter_enforced: {default_value: {numerator: 100}}\n" +
				"            descriptors:\n            - {entries: [{key: user, value: \"\"}], token_bucket: {max_tokens: 4, fill_interval: 1s}}\n" +
				"            - {entries: [{key: user, value: root}], token_bucket: {max_tokens: 400, fill_interval: 1s}}\n" +
				"            response_headers_to_add: []\n            status: {code: ServiceUnavailable}\n",
			Options{Cluster: "outbound|80||a"},
			"clusters:\n  \"outbound|80||a\":\n" + bucket("", "4", "1", "      key: [{header: x-user}]\n"),
			[]string{
				"12:29 spec.configPatches[0].patch.value.typed_config.value.filter_enabled: Envoy's runtime may change it by on_now; a policy is changed by writing it",
				"16:67 spec.configPatches[0].patch.value.typed_config.value.descriptors[1].token_bucket: is for one value of user, root: a policy counts all values by one limit",
				"17:13 spec.configPatches[0].patch.value.typed_config.value.response_headers_to_add: a policy has nothing like it",
				"18:21 spec.configPatches[0].patch.value.typed_config.value.status: Weir answers 429",
			},
		},
		"what a policy can't say": {
			head + routeOf("a", "token_bucket: {max_tokens: 1, fill_interval: 1s}, local_rate_limit_per_downstream_connection: true"+all) +
				routeOf("b", "token_bucket: {max_tokens: 1, fill_interval: 1s}, filter_enabled: {default_value: {numerator: 50}}") +
				routeOf("c", "token_bucket: {max_tokens: 2000000, fill_interval: 1s}"+all) +
				routeOf("d", "token_bucket: {max_tokens: 1, fill_interval: soon}"+all),
			Options{},
			"",
			[]string{
				"5:145 route_config.virtual_hosts[0].routes[0].typed_per_filter_config.x.token_bucket: is a bucket for each connection, and a policy counts those of a client by key: [client_ip]",
				"7:145 route_config.virtual_hosts[0].routes[1].typed_per_filter_config.x.token_bucket: is for a share of the requests: enabled for 50 %, enforced for 0 %",
				"9:145 route_config.virtual_hosts[0].routes[2].typed_per_filter_config.x.token_bucket: has 2000000 tokens and 1 more a second: a bucket of a policy has 1 to 1000000, and 1e-06 to 1000000 more a second",
				"11:145 route_config.virtual_hosts[0].routes[3].typed_per_filter_config.x.token_bucket: needs whole numbers max_tokens and tokens_per_fill, and a fill_interval such as 1s",
			},
		},
		"other filters": {
			"a: {\"@type\": type.googleapis.com/envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit}\n" +
				"b: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimit}\n",
			Options{},
			"",
			[]string{
				"1:4 a: limits connections, and a policy limits requests",
				"2:4 b: asks a rate limit service: import the file of its descriptors, with --envoy and this file",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			compare(t, test.in, test.options, test.want, test.left)
		})
	}
}

func TestFilesWithoutLimits(t *testing.T) {
	for in, want := range map[string]string{
		"a: 1\n":                              "has no rate limits: neither",
		"domain: x\ndescriptors: []\n":        "has no rate limits",
		"a: [\n":                              "not YAML",
		"static_resources: {listeners: []}\n": "has no rate limits: neither",
	} {
		if got, left, err := File("in.yaml", []byte(in), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %s, %v, %v, want an error with %q", in, got, left, err, want)
		}
	}
}

func TestParsePart(t *testing.T) {
	for in, ok := range map[string]bool{
		"header:x-user": true, "query:id": true, "cookie:sid": true, "client_ip": true, "path": true, "method": true, "cluster": true,
		"": false, "header": false, "header:": false, "path:x": false, "claim:sub": false,
	} {
		if _, err := ParsePart(in); (err == nil) != ok {
			t.Errorf("ParsePart(%q): got %v, want accepted: %v", in, err, ok)
		}
	}
}
