package render

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/weir-mesh/weir/policy"
)

const (
	// adminName is the name of the admin listener, its filter and its routes.
	adminName = "weir_admin"
	loopback  = "127.0.0.1"
)

// adminPolicy is the policy document of a filter that serves only the admin interface.
func (o Options) adminPolicy() ([]byte, error) {
	var document struct {
		Admin struct {
			Hosts []string `json:"hosts,omitempty"`
		} `json:"admin"`
	}
	document.Admin.Hosts = o.AdminHosts
	asJSON, err := json.Marshal(document)
	if err != nil {
		return nil, err
	}
	if _, err := policy.Decode(asJSON, o.Getenv); err != nil {
		return nil, err
	}
	return asJSON, nil
}

// adminListener serves Weir's admin interface to operators (status, reset, the live page). It runs the same filter as
// the traffic listener, in the same VM (same vm_id, code and environment), so that the two share their state. It is a
// separate listener, so that no client's route leads to it. It has no authentication: only the network decides which
// machines reach it, so a port without an address is bound to the loopback address.
func adminListener(o Options) (*listenerv3.Listener, error) {
	filter, err := AdminFilter(o)
	if err != nil {
		return nil, err
	}
	return AdminListener(o, &hcmv3.HttpFilter{
		Name: adminName, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: filter.GetTypedConfig()},
	})
}

// AdminFilter renders the filter of Weir's admin listener.
func AdminFilter(o Options) (*corev3.TypedExtensionConfig, error) {
	o = o.withDefaults()
	var err error
	if o.Policy, err = o.adminPolicy(); err != nil {
		return nil, err
	}
	o.StringValue = false
	return filterNamed(adminName, o)
}

// AdminListener renders Weir's admin listener with its filter, which may come by discovery.
func AdminListener(o Options, filter *hcmv3.HttpFilter) (*listenerv3.Listener, error) {
	bind, err := o.weirAdminAddress()
	if err != nil {
		return nil, err
	}
	router, err := routerFilter()
	if err != nil {
		return nil, err
	}
	return httpListener(adminName, bind, &hcmv3.HttpConnectionManager{
		StatPrefix:     adminName,
		CodecType:      hcmv3.HttpConnectionManager_AUTO,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: adminRoutes()},
		HttpFilters:    []*hcmv3.HttpFilter{filter, router},
	})
}

// adminRoutes answer 404: the filter answers every request before a route is used.
func adminRoutes() *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{
		Name: adminName,
		VirtualHosts: []*routev3.VirtualHost{{
			Name:    adminName,
			Domains: []string{"*"},
			Routes: []*routev3.Route{{
				Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
				Action: &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: http.StatusNotFound}},
			}},
		}},
	}
}

// weirAdminAddress reads Admin: HOST:PORT, or :PORT or PORT on the loopback address. An empty Admin gives nil.
func (o Options) weirAdminAddress() (*corev3.Address, error) {
	if o.Admin == "" {
		return nil, nil
	}
	hostPort := o.Admin
	if !strings.Contains(hostPort, ":") {
		hostPort = ":" + hostPort
	}
	if strings.HasPrefix(hostPort, ":") {
		hostPort = net.JoinHostPort(loopback, hostPort[1:])
	}
	a, err := socketAddress(hostPort)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", o.Admin, err)
	}
	return a, nil
}

// AdminOnAllAddresses says whether Weir's admin interface listens on all of the machine's addresses.
func (o Options) AdminOnAllAddresses() bool {
	a, err := o.weirAdminAddress()
	ip := net.ParseIP(a.GetSocketAddress().GetAddress())
	return err == nil && ip != nil && ip.IsUnspecified()
}
