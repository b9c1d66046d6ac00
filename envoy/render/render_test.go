package render

import (
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"sigs.k8s.io/yaml"
)

const document = `{"clusters": {"aws": {"rate_limit": {"requests_per_minute": 60}}}}`

func options() Options {
	return Options{
		Policy: []byte(document),
		Upstreams: []Upstream{
			{Name: "aws", Host: "127.0.0.1", Port: 9080},
			{Name: "quotes", Host: "quotes.example.com", Port: 50051, HTTP2: true},
		},
	}
}

func TestParseUpstream(t *testing.T) {
	for in, want := range map[string]Upstream{
		"aws=127.0.0.1:80":                   {Name: "aws", Host: "127.0.0.1", Port: 80},
		"aws=pricing.example.com:65535":      {Name: "aws", Host: "pricing.example.com", Port: 65535},
		"aws=[::1]:80":                       {Name: "aws", Host: "::1", Port: 80},
		"quotes=h2://10.0.0.7:50051":         {Name: "quotes", Host: "10.0.0.7", Port: 50051, HTTP2: true},
		"outbound|80||prices.example=p.x:80": {Name: "outbound|80||prices.example", Host: "p.x", Port: 80},
	} {
		if got, err := ParseUpstream(in); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: got %+v and %v, want %+v", in, got, err, want)
		}
	}
}

func TestParseUpstreamRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"aws":                      "want NAME=HOST:PORT",
		"aws=host":                 "missing port",
		"aws=host:":                "between 1 and 65535",
		"aws=host:0":               "between 1 and 65535",
		"aws=host:65536":           "between 1 and 65535",
		"aws=:80":                  "host is empty",
		"=host:80":                 "name is empty",
		"aws_*=host:80":            "must not contain",
		"a;b=host:80":              "must not contain",
		"aws=http://host:80":       "too many colons",
		"aws=h2://user/x@host:80":  "without a path",
		"aws=::1:80":               "too many colons",
		"aws=host:80/prices?a=b:1": "too many colons",
		"a\x01=host:80":            "control character",
		"a\xff=host:80":            "UTF-8",
		"aws=ho\x01st:80":          "without a path",
		"aws=ho\xffst:80":          "without a path",
	} {
		if got, err := ParseUpstream(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %+v and %v, want an error with %q", in, got, err, want)
		}
	}
}

func TestClusters(t *testing.T) {
	bootstrap := mustBootstrap(t, options())
	clusters := bootstrap.GetStaticResources().GetClusters()
	type shape struct {
		Name  string
		Type  clusterv3.Cluster_DiscoveryType
		HTTP2 bool
	}
	var got []shape
	for _, c := range clusters {
		got = append(got, shape{c.GetName(), c.GetType(), c.GetTypedExtensionProtocolOptions()[httpProtocolOptions] != nil})
		for _, threshold := range c.GetCircuitBreakers().GetThresholds() {
			if diff := cmp.Diff(&clusterv3.CircuitBreakers_Thresholds{MaxRetries: threshold.GetMaxRetries()}, threshold, protocmp.Transform()); diff != "" {
				t.Errorf("%s: got other thresholds than Envoy's defaults: %s", c.GetName(), diff)
			}
		}
	}
	want := []shape{{"aws", clusterv3.Cluster_STATIC, false}, {"quotes", clusterv3.Cluster_STRICT_DNS, true}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRoutes(t *testing.T) {
	manager := connectionManager(t, mustBootstrap(t, options()))
	got := map[string][]string{}
	for _, host := range manager.GetRouteConfig().GetVirtualHosts() {
		route := host.GetRoutes()[0]
		if route.GetName() != host.GetName() || route.GetRoute().GetCluster() != host.GetName() {
			t.Errorf("%s: route %s goes to cluster %s", host.GetName(), route.GetName(), route.GetRoute().GetCluster())
		}
		got[host.GetName()] = host.GetDomains()
	}
	want := map[string][]string{"aws": {"aws", "aws:*", "*"}, "quotes": {"quotes", "quotes:*"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFilterForms(t *testing.T) {
	asStruct := &structpb.Struct{}
	if err := protojson.Unmarshal([]byte(document), asStruct); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		stringValue bool
		want        proto.Message
	}{
		"Struct":      {false, asStruct},
		"StringValue": {true, wrapperspb.String(`{"clusters":{"aws":{"rate_limit":{"requests_per_minute":60}}}}`)},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.StringValue = test.stringValue
			filter, err := Filter(o)
			if err != nil {
				t.Fatal(err)
			}
			got := unpack(t, wasm(t, filter.GetTypedConfig()).GetConfig().GetConfiguration())
			if diff := cmp.Diff(test.want, got, protocmp.Transform()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A filter that asks for the route stands right before Weir: Envoy then resolves it again where an earlier one cleared it.
func TestRouteIsResolvedBeforeWeir(t *testing.T) {
	var names []string
	for _, f := range connectionManager(t, mustBootstrap(t, options())).GetHttpFilters() {
		names = append(names, f.GetName())
	}
	if diff := cmp.Diff([]string{"resolve_route", "weir", "envoy.filters.http.router"}, names); diff != "" {
		t.Errorf("filters: got (+), want (-): %s", diff)
	}
}

func TestFilterInlineOrDiscovered(t *testing.T) {
	o := options()
	inline := connectionManager(t, mustBootstrap(t, o)).GetHttpFilters()
	alone, err := Filter(o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(alone.GetTypedConfig(), inline[1].GetTypedConfig(), protocmp.Transform()); diff != "" {
		t.Errorf("inline differs from the filter alone: %s", diff)
	}
	for path, want := range map[string]string{"weir.ecds.yaml": "./weir.ecds.yaml", "/etc/weir/w.yaml": "/etc/weir/w.yaml"} {
		o.ECDS = path
		filters := connectionManager(t, mustBootstrap(t, o)).GetHttpFilters()
		source := filters[1].GetConfigDiscovery()
		if got := source.GetConfigSource().GetPathConfigSource().GetPath(); got != want {
			t.Errorf("watched path: got %q, want %q", got, want)
		}
		if last := filters[len(filters)-1].GetName(); last != "envoy.filters.http.router" {
			t.Errorf("got last filter %s, want the router", last)
		}
	}
	watched, err := ECDS(o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(proto.Message(alone), unpack(t, watched.GetResources()[0]), protocmp.Transform()); diff != "" {
		t.Errorf("the watched file differs from the filter alone: %s", diff)
	}
}

func TestOptionsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*Options)
		want   []string
	}{
		"no upstream":       {func(o *Options) { o.Upstreams = nil }, []string{"at least one upstream"}},
		"an upstream twice": {func(o *Options) { o.Upstreams[1].Name = "AWS" }, []string{`"AWS" is given twice`}},
		"a name to listen on, a bad admin port": {
			func(o *Options) { o.Listen, o.EnvoyAdmin = "localhost:80", "127.0.0.1:x" },
			[]string{"listen: host must be an IP address", "envoy admin: port must be"},
		},
		"a variable both ways": {
			func(o *Options) { o.Env, o.HostEnv = map[string]string{"A": "1"}, []string{"A"} },
			[]string{"environment variable A"},
		},
		"an admin's name for its address": {func(o *Options) { o.Admin = "localhost:9902" }, []string{`weir admin: "localhost:9902": host must be an IP address`}},
		"a health path without a slash":   {func(o *Options) { o.Upstreams[0].HealthPath = "healthz" }, []string{`upstream "aws"`, "must begin with /"}},
		"a health path of two words":      {func(o *Options) { o.Upstreams[0].HealthPath = "/a b" }, []string{`upstream "aws"`, "%20"}},
		"a health path of two lines":      {func(o *Options) { o.Upstreams[0].HealthPath = "/a\r\nhost: b" }, []string{`upstream "aws"`, "%20"}},
		"the admin's policy for the traffic": {
			func(o *Options) { o.Policy, o.Admin = []byte(`{"admin": {}}`), "9902" },
			[]string{"policy: admin", "clusters or default"},
		},
		"one place for traffic and the admin": {
			func(o *Options) { o.Listen, o.Admin = "127.0.0.1:9902", "9902" },
			[]string{"weir admin: 127.0.0.1:9902 is taken by listen"},
		},
		"one port of all addresses": {
			func(o *Options) { o.Listen, o.EnvoyAdmin, o.Admin = "0.0.0.0:80", "127.0.0.1:80", "[::]:80" },
			[]string{"envoy admin: 127.0.0.1:80 is taken by listen", "weir admin: [::]:80 is taken by listen"},
		},
		"Redis under an upstream's name": {
			func(o *Options) { o.Redis = &Upstream{Name: "AWS", Host: "h", Port: 1} },
			[]string{`redis cluster "AWS" has the name of an upstream`},
		},
		"Redis under no name": {
			func(o *Options) { o.Redis = &Upstream{Name: "a=b", Host: "h", Port: 1} },
			[]string{`redis cluster "a=b": the name`},
		},
		"admin hosts with a port": {
			func(o *Options) { o.Admin, o.AdminHosts = "9902", []string{"weir.example.com:80"} },
			[]string{"admin.hosts[0]"},
		},
		"a failover to nowhere": {
			func(o *Options) { o.Policy = []byte(`{"default": {"failover": {"to": ["aws", "nowhere"]}}}`) },
			[]string{"cluster aws fails over to nowhere, but no upstream has that name"},
		},
		"a policy that is not an object": {func(o *Options) { o.Policy = []byte(`[1]`) }, []string{"not a JSON object"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			test.change(&o)
			_, err := Bootstrap(o)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
		})
	}
}

// Rules that ValidateAll checks are found inside the Any of the listener's filter too, and an unknown type is named.
func TestValidateLooksInsideAny(t *testing.T) {
	bootstrap := mustBootstrap(t, options())
	filters := bootstrap.GetStaticResources().GetListeners()[0].GetFilterChains()[0].GetFilters()
	broken := connectionManager(t, bootstrap)
	broken.StatPrefix = ""
	broken.HttpFilters[0].GetTypedConfig().TypeUrl = "type.googleapis.com/no.such.Message"
	if err := filters[0].GetTypedConfig().MarshalFrom(broken); err != nil {
		t.Fatal(err)
	}
	err := validate(bootstrap)
	for _, want := range []string{"StatPrefix", "no.such.Message"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestYAMLIsReadBackAsTheSameMessage(t *testing.T) {
	want := mustBootstrap(t, options())
	text, err := YAML(want)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		t.Fatal(err)
	}
	got := &bootstrapv3.Bootstrap{}
	if err := protojson.Unmarshal(asJSON, got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func mustBootstrap(t *testing.T, o Options) *bootstrapv3.Bootstrap {
	t.Helper()
	bootstrap, err := Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	return bootstrap
}

func connectionManager(t *testing.T, b *bootstrapv3.Bootstrap) *hcmv3.HttpConnectionManager {
	t.Helper()
	filter := b.GetStaticResources().GetListeners()[0].GetFilterChains()[0].GetFilters()[0]
	manager, ok := unpack(t, filter.GetTypedConfig()).(*hcmv3.HttpConnectionManager)
	if !ok {
		t.Fatalf("got filter %s, want an HTTP connection manager", filter.GetName())
	}
	return manager
}

func wasm(t *testing.T, packed *anypb.Any) *httpwasmv3.Wasm {
	t.Helper()
	filter, ok := unpack(t, packed).(*httpwasmv3.Wasm)
	if !ok {
		t.Fatalf("got %s, want a Wasm filter", packed.GetTypeUrl())
	}
	return filter
}

func unpack(t *testing.T, packed *anypb.Any) proto.Message {
	t.Helper()
	m, err := packed.UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Envoy's YAML loader would turn 1.5 into "1.5", and the filter could not know which it was.
func TestFractionsInDataSurviveYAML(t *testing.T) {
	for policy, want := range map[string]string{
		`{"clusters":{"a":{"fallback":{"default_data":{"body":{"price":[1.5]}}}}}}`: "google.protobuf.StringValue",
		`{"default":{"fallback":{"default_data_by_path":{"/a":{"body":[1.5]}}}}}`:   "google.protobuf.StringValue",
		`{"clusters":{"a":{"fallback":{"default_data":{"body":{"price":[15]}}}}}}`:  "google.protobuf.Struct",
		`{"clusters":{"a":{"rate_limit":{"refill_rate":1.5}}}}`:                     "google.protobuf.Struct",
	} {
		filter, err := Filter(Options{Policy: []byte(policy)})
		if err != nil {
			t.Fatal(err)
		}
		text, err := YAML(filter)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), want) {
			t.Errorf("%s: no %s in\n%s", policy, want, text)
		}
	}
}

// A client must not set x-envoy-max-retries. With an empty list Envoy 1.40 takes every address as internal.
func TestNoClientIsInternal(t *testing.T) {
	manager := connectionManager(t, mustBootstrap(t, options()))
	ranges := manager.GetInternalAddressConfig().GetCidrRanges()
	if !manager.GetUseRemoteAddress().GetValue() || len(ranges) != 1 || ranges[0].GetAddressPrefix() != "255.255.255.255" || ranges[0].GetPrefixLen().GetValue() != 32 {
		t.Errorf("got internal addresses %v, want only 255.255.255.255/32", manager.GetInternalAddressConfig())
	}
}

func mutations(t *testing.T, packed *anypb.Any) []*mutationv3.HeaderMutation {
	t.Helper()
	m, ok := unpack(t, packed).(*earlyv3.HeaderMutation)
	if !ok {
		t.Fatalf("got %s, want a header mutation", packed.GetTypeUrl())
	}
	return m.GetMutations()
}

// Ports that the kernel chooses never overlap.
func TestPortsThatTheKernelChooses(t *testing.T) {
	o := options()
	o.Listen, o.EnvoyAdmin, o.Admin = "127.0.0.1:0", "127.0.0.1:0", "0"
	mustBootstrap(t, o)
	o.Listen, o.EnvoyAdmin, o.Admin = "127.0.0.1:80", "127.0.0.2:80", "[::1]:80"
	mustBootstrap(t, o)
}
