package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/yaml"

	"github.com/weir-mesh/weir/envoy/policyfile"
)

const intoHeader = `# Written by weir render filter --into: an envoy.yaml with the filter put in. Change the file that it was made from, and write it again.
`

const (
	managerType = "HttpConnectionManager"
	routerName  = "envoy.filters.http.router"
)

// Into puts the pieces that Pieces renders into an envoy.yaml: into each http_connection_manager of its static listeners, right
// before the router. What else it says stays, comments excepted. Where the policy needs routes of its own, it is an error: those
// are pasted by hand.
func Into(envoy []byte, o Options) ([]byte, error) {
	o = o.withDefaults()
	if err := o.checkPieces(); err != nil {
		return nil, err
	}
	if routes := routePieces(o.Document); len(routes) > 0 {
		return nil, errors.New("retry and failover need routes of their own: leave out --into, and paste the pieces")
	}
	raw, err := policyfile.JSON(envoy)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var whole map[string]any
	if err := decoder.Decode(&whole); err != nil {
		return nil, fmt.Errorf("an envoy.yaml must be an object: %w", err)
	}
	manager, err := managerPiece(o)
	if err != nil {
		return nil, err
	}
	piece, err := tree(manager)
	if err != nil {
		return nil, err
	}
	static := objectIn(whole, "static_resources")
	managers := managersOf(static)
	if len(managers) == 0 {
		return nil, errors.New("no listener of its static_resources has an http_connection_manager: leave out --into, and paste the pieces where yours is")
	}
	for _, m := range managers {
		if err := intoManager(m, piece); err != nil {
			return nil, err
		}
	}
	if err := intoTop(whole, o); err != nil {
		return nil, err
	}
	if o.Admin != "" {
		admin, err := adminListener(o)
		if err != nil {
			return nil, err
		}
		listeners, err := tree(&bootstrapv3.Bootstrap_StaticResources{Listeners: []*listenerv3.Listener{admin}})
		if err != nil {
			return nil, err
		}
		appendIn(static, "listeners", listeners["listeners"])
	}
	text, err := json.Marshal(whole)
	if err != nil {
		return nil, err
	}
	body, err := yaml.JSONToYAML(text)
	return append([]byte(intoHeader), body...), err
}

// intoTop adds what belongs at the top level.
func intoTop(whole map[string]any, o Options) error {
	top, err := tree(&bootstrapv3.Bootstrap{
		StatsConfig: StatsConfig(), MemoryAllocatorManager: MemoryRelease(), Node: &corev3.Node{Id: filterName, Cluster: filterName},
	})
	if err != nil {
		return err
	}
	for name, value := range top["stats_config"].(map[string]any) {
		appendIn(objectIn(whole, "stats_config"), name, value)
	}
	if whole["memory_allocator_manager"] == nil {
		whole["memory_allocator_manager"] = top["memory_allocator_manager"]
	}
	if o.ECDS != "" {
		node := objectIn(whole, "node")
		for name, value := range top["node"].(map[string]any) {
			if node[name] == nil {
				node[name] = value
			}
		}
	}
	return nil
}

// managersOf are the connection managers of the static listeners.
func managersOf(static map[string]any) (managers []map[string]any) {
	for _, listener := range objectsIn(static, "listeners") {
		chains := objectsIn(listener, "filter_chains")
		if chain, ok := listener["default_filter_chain"].(map[string]any); ok {
			chains = append(chains, chain)
		}
		for _, chain := range chains {
			for _, filter := range objectsIn(chain, "filters") {
				typed, _ := filter["typed_config"].(map[string]any)
				if kind, _ := typed["@type"].(string); strings.HasSuffix(kind, "."+managerType) {
					managers = append(managers, typed)
				}
			}
		}
	}
	return managers
}

// intoManager puts the filters right before the router.
func intoManager(manager, piece map[string]any) error {
	filters, _ := manager["http_filters"].([]any)
	router := slices.IndexFunc(filters, func(f any) bool {
		filter, _ := f.(map[string]any)
		typed, _ := filter["typed_config"].(map[string]any)
		kind, _ := typed["@type"].(string)
		return filter["name"] == routerName || strings.HasSuffix(kind, ".router.v3.Router")
	})
	if router < 0 {
		return fmt.Errorf("the connection manager %v has no %s among its http_filters", manager["stat_prefix"], routerName)
	}
	for _, f := range filters {
		if filter, _ := f.(map[string]any); filter["name"] == filterName {
			return fmt.Errorf("the connection manager %v has a filter %s already: give the envoy.yaml without it", manager["stat_prefix"], filterName)
		}
	}
	manager["http_filters"] = slices.Insert(slices.Clone(filters), router, piece["http_filters"].([]any)...)
	appendIn(manager, "early_header_mutation_extensions", piece["early_header_mutation_extensions"])
	return nil
}

// tree is a message as the values of an envoy.yaml.
func tree(m proto.Message) (map[string]any, error) {
	raw, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var t map[string]any
	err = decoder.Decode(&t)
	return t, err
}

// objectIn is the object with this name, which is made where there is none.
func objectIn(in map[string]any, name string) map[string]any {
	o, ok := in[name].(map[string]any)
	if !ok {
		o = map[string]any{}
		in[name] = o
	}
	return o
}

func objectsIn(in map[string]any, name string) (all []map[string]any) {
	list, _ := in[name].([]any)
	for _, item := range list {
		if o, ok := item.(map[string]any); ok {
			all = append(all, o)
		}
	}
	return all
}

// appendIn appends a list to the one that is there. Another value is only set where there is none.
func appendIn(in map[string]any, name string, value any) {
	more, isList := value.([]any)
	if !isList {
		if in[name] == nil {
			in[name] = value
		}
		return
	}
	list, _ := in[name].([]any)
	in[name] = append(slices.Clone(list), more...)
}
