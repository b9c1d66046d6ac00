// Package render writes Envoy's configuration for a Weir policy: a complete bootstrap with listener, routes, clusters,
// the Wasm filter and the stats tags, typed by go-control-plane and checked by its validation rules. The `weir` command
// prints it for users; the end-to-end tests start their Envoys with it.
//
//	policy + upstreams ──► Bootstrap ──► envoy.yaml        read once: clusters, health checks, admin
//	                       LDS       ──► envoy.lds.yaml    watched: listeners, routes, back-off, failover
//	                       ECDS      ──► envoy.ecds.yaml   watched: the filter with the policy
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

// Defaults of Options.
const (
	DefaultListen     = "127.0.0.1:10000"
	DefaultEnvoyAdmin = "127.0.0.1:9901"
	DefaultWasm       = "build/weir.wasm"
)

// Options says what to render. Policy and Upstreams are required.
type Options struct {
	// Policy is the policy document, a JSON object. It is passed on unchanged: the filter replaces `${NAME}`, and
	// package policy finds mistakes.
	Policy []byte
	// Document is the decoded Policy, for what is rendered outside of the filter: back-off and failover of routes,
	// health checks. If it is nil, Policy is decoded here, with Env and, for HostEnv, this process's environment; a
	// policy with mistakes then adds nothing outside of the filter, and the filter reports them.
	Document *policy.Document
	// Upstreams are the clusters that requests go to, at least one. A host that matches no upstream goes to the first.
	Upstreams []Upstream
	// Redis is the cluster of the HTTP bridge to Redis, for a policy with limits of scope mesh. Only the filter calls
	// it, no route leads to it. Nil renders none.
	Redis *Upstream
	// Listen is host:port of the traffic listener; the host is an IP address.
	Listen string
	// EnvoyAdmin is host:port of Envoy's own admin interface; the host is an IP address.
	EnvoyAdmin string
	// Admin is host:port of Weir's own admin listener, which must be kept private; the host is an IP address. A port
	// alone is bound to the loopback address. Empty renders no such listener.
	Admin string
	// AdminHosts are more host names that browsers may use for the admin interface, besides addresses and names of
	// private networks: admin.hosts of its document.
	AdminHosts []string
	// Wasm is the path of weir.wasm as Envoy opens it, relative to Envoy's working directory.
	Wasm string
	// ECDS is the path of the watched file with the filter's configuration: renaming a new file over it reloads the
	// policy. Empty renders the filter inline.
	ECDS string
	// LDS is the path of the watched file with the listeners and their routes, which are then reloaded like the policy.
	// Empty renders them into the bootstrap.
	LDS string
	// Env has the filter's environment variables (vm_config.environment_variables.key_values).
	Env map[string]string
	// HostEnv has names of variables of Envoy's own environment that the filter may read (host_env_keys).
	HostEnv []string
	// StringValue renders the policy as a StringValue with JSON in it, as Istio does, instead of a Struct.
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
	o.Policy = WithVia(o.Policy)
	if o.Document == nil {
		o.Document = o.decode()
	}
	return o
}

// Check returns every mistake in the options except those in the policy.
func (o Options) Check() error {
	o = o.withDefaults()
	_, envErr := environment(o)
	return errors.Join(checkUpstreams(o.Upstreams), checkRedis(o), checkFailover(o), checkListeners(o), checkAdmin(o), envErr)
}

// checkListeners returns addresses that are malformed or overlap.
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
			if overlap(bind, taken[other]) {
				errs = append(errs, fmt.Errorf("%s: %s is taken by %s; choose another port", l.name, hostPort(bind), other))
			}
		}
		taken[l.name] = bind
	}
	return errors.Join(errs...)
}

// checkAdmin keeps the admin interface off the traffic listener, where every client could force breakers.
func checkAdmin(o Options) error {
	if o.Document != nil && o.Document.Admin {
		return errors.New("policy: admin is only for a separate listener, which --weir-admin HOST:PORT adds; write clusters or default for the traffic")
	}
	if _, err := o.adminPolicy(); err != nil {
		return fmt.Errorf("weir admin: %w", err)
	}
	return nil
}

// CheckAdmin returns what is wrong with Admin and AdminHosts.
func (o Options) CheckAdmin() error {
	_, addressErr := o.weirAdminAddress()
	_, policyErr := o.adminPolicy()
	return errors.Join(addressErr, policyErr)
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
		// Envoy needs a node's id and cluster for any dynamic configuration, including a watched file.
		Node:  &corev3.Node{Id: "weir", Cluster: "weir"},
		Admin: &bootstrapv3.Admin{Address: admin},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{
			Clusters: clusters,
		},
		StatsConfig:            StatsConfig(),
		MemoryAllocatorManager: MemoryRelease(),
	}
	if o.LDS != "" {
		b.DynamicResources = &bootstrapv3.Bootstrap_DynamicResources{LdsConfig: watchedFile(o.LDS)}
	} else if b.StaticResources.Listeners, err = listeners(o); err != nil {
		return nil, err
	}
	if err := addInternalListeners(b, o); err != nil {
		return nil, err
	}
	if err := validate(b); err != nil {
		return nil, err
	}
	return b, nil
}

// listeners are the traffic listener, if Admin is set Weir's admin listener, and the internal one for further attempts.
func listeners(o Options) (list []*listenerv3.Listener, err error) {
	makers := []func(Options) (*listenerv3.Listener, error){trafficListener}
	if o.Admin != "" {
		makers = append(makers, adminListener)
	}
	if o.makesAttempts() {
		makers = append(makers, attemptsListener)
	}
	for _, make := range makers {
		l, err := make(o)
		if err != nil {
			return nil, err
		}
		list = append(list, l)
	}
	return list, nil
}

// clusters are the upstreams, and those to which no policy applies, not even the default or a pattern: Redis, and the way
// of further attempts.
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
	if o.makesAttempts() {
		c, err := attemptsCluster()
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}
