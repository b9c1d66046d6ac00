// Package render writes Envoy's configuration around a Weir policy: a complete bootstrap with listener, routes,
// clusters, the Wasm filter and the stats tags, typed by go-control-plane and checked by its validation rules.
// The `weir` command prints it for users; the end-to-end tests start their Envoys with it.
package render

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/weir-mesh/weir/policy"
)

// What Options fills in for a field left empty.
const (
	DefaultListen     = "127.0.0.1:10000"
	DefaultEnvoyAdmin = "127.0.0.1:9901"
	DefaultWasm       = "build/weir.wasm"
)

// Options says what to render. Policy and Upstreams are needed, the rest has defaults.
type Options struct {
	// Policy is the policy document as JSON, an object. It is passed on as it stands: `${NAME}` is replaced by the
	// filter, not here, and its mistakes are found by package policy, not here.
	Policy []byte
	// Document is Policy decoded, which what stands outside of the filter comes from: the back-off of a route, failover
	// routes, health checks. Nil: Policy is decoded here, with Env and, for HostEnv, this process's environment; where it has
	// mistakes nothing hangs on it, and the filter reports them.
	Document *policy.Document
	// Upstreams are the clusters that requests go to, at least one. The first also answers hosts that match none.
	Upstreams []Upstream
	// Redis is the cluster of the HTTP bridge to Redis, for a policy with limits of scope mesh: the filter calls it, and
	// no route leads there. Nil: none.
	Redis *Upstream
	// Listen is host:port of the traffic listener; the host is an IP address.
	Listen string
	// EnvoyAdmin is host:port of Envoy's own admin interface; the host is an IP address.
	EnvoyAdmin string
	// Admin is host:port of Weir's own admin listener, which is to be kept private; the host is an IP address. A port
	// alone is one of the loopback address. Empty: none.
	Admin string
	// AdminHosts are names under which browsers may ask for the admin interface, beside addresses and names of private
	// networks: admin.hosts of its document.
	AdminHosts []string
	// Wasm is the path of weir.wasm as Envoy opens it, relative to Envoy's working directory.
	Wasm string
	// ECDS is the path of the watched file that holds the filter's configuration, for a policy that is reloaded by
	// renaming a new file over it. Empty: the filter stands inline.
	ECDS string
	// LDS is the path of the watched file that holds the listeners with their routes, which are then reloaded as the policy
	// is. Empty: they stand in the bootstrap.
	LDS string
	// Env is what the filter finds in its environment (vm_config.environment_variables.key_values).
	Env map[string]string
	// HostEnv names variables of Envoy's own environment that the filter may read (host_env_keys).
	HostEnv []string
	// StringValue gives the policy as a StringValue holding JSON, which is what Istio sends, instead of a Struct.
	StringValue bool
}

func (o Options) withDefaults() Options {
	if o.Listen == "" {
		o.Listen = DefaultListen
	}
	if o.EnvoyAdmin == "" {
		o.EnvoyAdmin = DefaultEnvoyAdmin
	}
	if o.Wasm == "" {
		o.Wasm = DefaultWasm
	}
	if o.Document == nil {
		o.Document = o.decode()
	}
	return o
}

// Check says what is wrong with the options, the policy aside.
func (o Options) Check() error {
	o = o.withDefaults()
	_, envErr := environment(o)
	return errors.Join(checkUpstreams(o.Upstreams), checkRedis(o), checkFailover(o), checkListeners(o), checkAdmin(o), envErr)
}

// checkListeners says which addresses are none, or one another's.
func checkListeners(o Options) error {
	var errs []error
	taken := map[string]*corev3.Address{}
	for _, l := range []struct {
		name string
		read func() (*corev3.Address, error)
	}{
		{"listen", func() (*corev3.Address, error) { return socketAddress(o.Listen) }},
		{"envoy admin", func() (*corev3.Address, error) { return socketAddress(o.EnvoyAdmin) }},
		{"weir admin", o.weirAdminAddress},
	} {
		bind, err := l.read()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", l.name, err))
			continue
		}
		for _, other := range slices.Sorted(maps.Keys(taken)) {
			if meet(bind, taken[other]) {
				errs = append(errs, fmt.Errorf("%s: %s is taken by %s; choose another port", l.name, hostPort(bind), other))
			}
		}
		taken[l.name] = bind
	}
	return errors.Join(errs...)
}

// checkAdmin keeps the admin interface off the traffic's listener, where each client could force breakers.
func checkAdmin(o Options) error {
	if o.Document != nil && o.Document.Admin {
		return errors.New("policy: admin is for a listener of its own, which --weir-admin HOST:PORT writes; for the traffic, write clusters or default")
	}
	if _, err := o.adminPolicy(); err != nil {
		return fmt.Errorf("weir admin: %w", err)
	}
	return nil
}

// Bootstrap renders a complete bootstrap: Envoy's admin, the listeners, one cluster for each upstream, and the filter,
// inline or by ECDS. Every message in it, also inside each Any, has passed its validation rules.
func Bootstrap(o Options) (*bootstrapv3.Bootstrap, error) {
	o = o.withDefaults()
	if err := o.Check(); err != nil {
		return nil, err
	}
	admin, err := socketAddress(o.EnvoyAdmin)
	if err != nil {
		return nil, err
	}
	clusters, err := clusters(o)
	if err != nil {
		return nil, err
	}
	b := &bootstrapv3.Bootstrap{
		// Envoy asks for a node's names before it follows any dynamic configuration, a watched file included.
		Node:  &corev3.Node{Id: "weir", Cluster: "weir"},
		Admin: &bootstrapv3.Admin{Address: admin},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{
			Clusters: clusters,
		},
		StatsConfig: statsConfig(),
	}
	if o.LDS != "" {
		b.DynamicResources = &bootstrapv3.Bootstrap_DynamicResources{LdsConfig: watchedFile(o.LDS)}
	} else if b.StaticResources.Listeners, err = listeners(o); err != nil {
		return nil, err
	}
	if err := validate(b); err != nil {
		return nil, err
	}
	return b, nil
}

// listeners are the traffic's and, where it is asked for, Weir's own admin listener.
func listeners(o Options) ([]*listenerv3.Listener, error) {
	traffic, err := trafficListener(o)
	if err != nil || o.Admin == "" {
		return []*listenerv3.Listener{traffic}, err
	}
	admin, err := adminListener(o)
	return []*listenerv3.Listener{traffic, admin}, err
}

// clusters are the upstreams, and Redis, which no policy is for: also not a default one, or that of a pattern.
func clusters(o Options) (list []*clusterv3.Cluster, err error) {
	for _, u := range o.Upstreams {
		c, err := u.cluster(policyOf(o.Document, u.Name))
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	if o.Redis != nil {
		c, err := o.Redis.cluster(&policy.Policy{})
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}
