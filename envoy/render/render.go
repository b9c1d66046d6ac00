// Package render writes Envoy's configuration around a Weir policy: a complete bootstrap with listener, routes,
// clusters, the Wasm filter and the stats tags, typed by go-control-plane and checked by its validation rules.
// The `weir` command prints it for users; the end-to-end tests start their Envoys with it.
package render

import (
	"errors"
	"fmt"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
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
	// Upstreams are the clusters that requests go to, at least one. The first also answers hosts that match none.
	Upstreams []Upstream
	// Redis is the cluster of the HTTP bridge to Redis, for a policy with limits of scope mesh: the filter calls it, and
	// no route leads there. Nil: none.
	Redis *Upstream
	// Listen is host:port of the traffic listener; the host is an IP address.
	Listen string
	// EnvoyAdmin is host:port of Envoy's own admin interface; the host is an IP address.
	EnvoyAdmin string
	// Wasm is the path of weir.wasm as Envoy opens it, relative to Envoy's working directory.
	Wasm string
	// ECDS is the path of the watched file that holds the filter's configuration, for a policy that is reloaded by
	// renaming a new file over it. Empty: the filter stands inline.
	ECDS string
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
	return o
}

// Check says what is wrong with the options, the policy aside.
func (o Options) Check() error {
	o = o.withDefaults()
	_, listenErr := socketAddress(o.Listen)
	if listenErr != nil {
		listenErr = fmt.Errorf("listen: %w", listenErr)
	}
	_, adminErr := socketAddress(o.EnvoyAdmin)
	if adminErr != nil {
		adminErr = fmt.Errorf("envoy admin: %w", adminErr)
	}
	_, envErr := environment(o)
	clusters := o.Upstreams
	if o.Redis != nil && len(clusters) > 0 {
		clusters = append(clusters[:len(clusters):len(clusters)], *o.Redis)
	}
	return errors.Join(checkUpstreams(clusters), listenErr, adminErr, envErr)
}

// Bootstrap renders a complete bootstrap: Envoy's admin, one HTTP listener, one cluster for each upstream, and the
// filter, inline or by ECDS. Every message in it, also inside each Any, has passed its validation rules.
func Bootstrap(o Options) (*bootstrapv3.Bootstrap, error) {
	o = o.withDefaults()
	if err := o.Check(); err != nil {
		return nil, err
	}
	admin, err := socketAddress(o.EnvoyAdmin)
	if err != nil {
		return nil, err
	}
	targets := o.Upstreams
	if o.Redis != nil {
		targets = append(targets[:len(targets):len(targets)], *o.Redis)
	}
	listener, err := trafficListener(o)
	if err != nil {
		return nil, err
	}
	clusters := make([]*clusterv3.Cluster, 0, len(targets))
	for _, u := range targets {
		c, err := u.cluster()
		if err != nil {
			return nil, err
		}
		clusters = append(clusters, c)
	}
	b := &bootstrapv3.Bootstrap{
		// Envoy asks for a node's names before it follows any dynamic configuration, a watched file included.
		Node:  &corev3.Node{Id: "weir", Cluster: "weir"},
		Admin: &bootstrapv3.Admin{Address: admin},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{
			Listeners: []*listenerv3.Listener{listener},
			Clusters:  clusters,
		},
		StatsConfig: statsConfig(),
	}
	if err := validate(b); err != nil {
		return nil, err
	}
	return b, nil
}
