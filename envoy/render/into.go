package render

import (
	"errors"
	"fmt"
	"path"
	"strings"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"go.yaml.in/yaml/v3"
)

const intoHeader = `# Written by weir render filter --into: an envoy.yaml with the filter put in. Change the file that it was made from, and write it again.
`

const (
	managerType = "HttpConnectionManager"
	routerName  = "envoy.filters.http.router"
)

// Into puts the pieces that Pieces renders into an envoy.yaml: into each http_connection_manager of its static listeners, right
// before the router, and into the routes that retries and failover need. What else it says stays, comments and order included.
// Where the file says something that the pieces would contradict, it is an error that names the line and what to do by hand.
// Warnings are about what the file leaves to others.
func Into(envoy []byte, o Options) (text []byte, warnings []string, err error) {
	o = o.withDefaults()
	if err := o.checkPieces(); err != nil {
		return nil, nil, err
	}
	document, err := readWhole(envoy)
	if err != nil {
		return nil, nil, err
	}
	whole := document.Content[0]
	manager, err := managerPiece(o)
	if err != nil {
		return nil, nil, err
	}
	piece, err := nodeOf(manager)
	if err != nil {
		return nil, nil, err
	}
	static := objectIn(whole, "static_resources")
	managers := managersOf(static)
	if len(managers) == 0 {
		return nil, nil, errors.New("no listener of its static_resources has an http_connection_manager: leave out --into, and paste the pieces where yours is")
	}
	var errs []error
	for _, m := range managers {
		errs = append(errs, intoManager(m, piece))
	}
	routes := newIntoRoutes(whole, static, o)
	routes.put(managers)
	errs = append(errs, routes.errs...)
	if err := errors.Join(append(errs, intoTop(whole, o))...); err != nil {
		return nil, nil, err
	}
	if o.Admin != "" {
		if err := withoutAdmin(static); err != nil {
			return nil, nil, err
		}
		admin, err := adminListener(o)
		if err != nil {
			return nil, nil, err
		}
		listeners, err := nodeOf(&bootstrapv3.Bootstrap_StaticResources{Listeners: []*listenerv3.Listener{admin}})
		if err != nil {
			return nil, nil, err
		}
		appendIn(static, "listeners", member(listeners, "listeners"))
	}
	if text, err = write(document, envoy); err != nil {
		return nil, nil, err
	}
	return text, append(routes.warnings, lostComments(envoy, text)...), nil
}

// intoTop adds what belongs at the top level.
func intoTop(whole *yaml.Node, o Options) error {
	top, err := nodeOf(&bootstrapv3.Bootstrap{
		StatsConfig: StatsConfig(), MemoryAllocatorManager: MemoryRelease(), Node: &corev3.Node{Id: filterName, Cluster: filterName},
	})
	if err != nil {
		return err
	}
	stats := objectIn(whole, "stats_config")
	for name, value := range members(member(top, "stats_config")) {
		appendIn(stats, name, value)
	}
	if member(whole, "memory_allocator_manager") == nil {
		set(whole, "memory_allocator_manager", member(top, "memory_allocator_manager"))
	}
	if o.ECDS == "" {
		return nil
	}
	node := objectIn(whole, "node")
	for name, value := range members(member(top, "node")) {
		if member(node, name) == nil {
			set(node, name, value)
		}
	}
	return nil
}

// managersOf are the connection managers of the static listeners.
func managersOf(static *yaml.Node) (managers []*yaml.Node) {
	for _, listener := range items(member(static, "listeners")) {
		chains := append(items(member(listener, "filter_chains")), member(listener, "default_filter_chain"))
		for _, chain := range chains {
			for _, filter := range items(member(chain, "filters")) {
				if typed := member(filter, "typed_config"); strings.HasSuffix(textIn(typed, "@type"), "."+managerType) {
					managers = append(managers, typed)
				}
			}
		}
	}
	return managers
}

// intoManager puts the filters right before the router, also where an upgrade has filters of its own, which take the place of the others.
func intoManager(manager, piece *yaml.Node) error {
	prefix := textIn(manager, "stat_prefix")
	errs := []error{intoChain(manager, member(manager, "http_filters"), piece, "the connection manager "+prefix, "http_filters")}
	for _, upgrade := range items(member(manager, "upgrade_configs")) {
		if filters := member(upgrade, "filters"); len(items(filters)) > 0 {
			of := fmt.Sprintf("the upgrade %s of the connection manager %s", textIn(upgrade, "upgrade_type"), prefix)
			errs = append(errs, intoChain(upgrade, filters, piece, of, "filters"))
		}
	}
	appendIn(manager, "early_header_mutation_extensions", clone(member(piece, "early_header_mutation_extensions")))
	return errors.Join(errs...)
}

// intoChain puts the filters into one list of filters.
func intoChain(owner, filters, piece *yaml.Node, of, list string) error {
	router := -1
	for i, f := range items(filters) {
		if name := textIn(f, "name"); name == filterName || isWeir(f) {
			return at(f, "%s has a filter of Weir already, %s: give the envoy.yaml without it", of, name)
		} else if router < 0 && (name == routerName || strings.HasSuffix(textIn(member(f, "typed_config"), "@type"), ".router.v3.Router")) {
			router = i
		}
	}
	if router < 0 {
		return at(owner, "%s has no %s among its %s", of, routerName, list)
	}
	insert(filters, router, items(clone(member(piece, "http_filters")))...)
	return nil
}

// isWeir reports whether an HTTP filter is Weir under another name: the same request would be counted twice.
func isWeir(filter *yaml.Node) bool {
	config := member(member(filter, "typed_config"), "config")
	vm := member(config, "vm_config")
	module := path.Base(textIn(member(member(vm, "code"), "local"), "filename"))
	return textIn(config, "root_id") == filterName || textIn(vm, "vm_id") == filterName || module == path.Base(DefaultWasm)
}

// withoutAdmin refuses a file with a listener of the name of Weir's: of two Envoy would open one.
func withoutAdmin(static *yaml.Node) error {
	for _, listener := range items(member(static, "listeners")) {
		if textIn(listener, "name") == adminName {
			return at(listener, "the file has a listener %s already: remove it or give it another name, or leave out --weir-admin", adminName)
		}
	}
	return nil
}

// at is an error about a place of the file.
func at(n *yaml.Node, format string, arguments ...any) error {
	return fmt.Errorf("line %d: "+format, append([]any{n.Line}, arguments...)...)
}
