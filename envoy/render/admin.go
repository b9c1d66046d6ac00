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
	// adminName names the admin listener and what belongs to it.
	adminName = "weir_admin"
	loopback  = "127.0.0.1"
)

// adminPolicy makes an instance of the filter serve the admin interface, and nothing else.
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

// adminListener is where operators talk to Weir (status, reset, the live page). It runs the same filter as the traffic
// does, in the same VM (same vm_id, code and environment), which is how the two share their state. It is a listener of its own,
// so that no route of a client ever leads there; and it is none for an edge: who may reach it decides the network, which
// is why a port alone is one of the loopback address.
func adminListener(o Options) (*listenerv3.Listener, error) {
	bind, err := o.weirAdminAddress()
	if err != nil {
		return nil, err
	}
	if o.Policy, err = o.adminPolicy(); err != nil {
		return nil, err
	}
	o.StringValue = false
	filter, err := filterNamed(adminName, o)
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
		HttpFilters: []*hcmv3.HttpFilter{
			{Name: adminName, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: filter.GetTypedConfig()}},
			router,
		},
	})
}

// adminRoutes lead nowhere: the filter answers, and 404 is what is left where it does not.
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

// weirAdminAddress reads Admin: HOST:PORT, :PORT or PORT, the latter two on the loopback address. Nil where it is empty.
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

// AdminIsOpen says whether Weir's admin interface is to listen on all of the machine's addresses.
func (o Options) AdminIsOpen() bool {
	a, err := o.weirAdminAddress()
	ip := net.ParseIP(a.GetSocketAddress().GetAddress())
	return err == nil && ip != nil && ip.IsUnspecified()
}
