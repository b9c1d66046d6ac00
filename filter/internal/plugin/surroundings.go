package plugin

import (
	"strings"

	"github.com/weir-mesh/weir/filter/internal/fallbackcache"
	"github.com/weir-mesh/weir/filter/internal/host"
)

// surroundings are what a stream's cache needs to know besides the request's headers. They are read when they are needed;
// while the stream waits the host would answer for the plugin instead of the stream, so they are read before.
type surroundings struct {
	read       bool
	route      string
	named      bool
	identified bool
}

var _ fallbackcache.Surroundings = (*surroundings)(nil)

// ahead reads what may be needed while the stream waits.
func (a *surroundings) ahead() {
	if a.read {
		return
	}
	route, named := appendRoute(nil)
	*a = surroundings{read: true, route: string(route), named: named, identified: identified()}
}

// AppendRoute implements fallbackcache.Surroundings.
func (a *surroundings) AppendRoute(b []byte) (route []byte, named bool) {
	if a.read {
		return append(b, a.route...), a.named
	}
	return appendRoute(b)
}

// Identified implements fallbackcache.Surroundings.
func (a *surroundings) Identified() bool {
	if a.read {
		return a.identified
	}
	return identified()
}

// appendRoute appends the listener's direction and the names of the route and its virtual host. The routes of one virtual host
// that have no name can't be told apart: Envoy has no other property that differs between them.
//
//	direction │ 0 │ route │ 0 │ virtual host         8 bytes, or none, and names: two different routes have different bytes
func appendRoute(b []byte) (route []byte, named bool) {
	direction, _ := host.Property(host.ListenerDirection) // "" where there is none
	b = append(append(b, direction...), 0)
	name, _ := host.Property(host.RouteName)
	b = append(append(b, name...), 0)
	virtualHost, _ := host.Property(host.VirtualHostName)
	return append(b, virtualHost...), len(name) > 0
}

// identified reports whether something that is not in the headers may say who asks. In doubt it does:
//
//   - any dynamic metadata: jwt_authn, ext_authz, rbac and the like write it, and routes make headers of it behind Weir;
//   - the client's certificate;
//   - an internal listener: the certificate was that of another connection, which can't be seen from here.
//
// Envoy has no list of the filter state's objects, so what is only there can't be seen.
func identified() bool {
	metadata, err := host.Property(host.Metadata)
	if len(metadata) > 0 || err != nil && err != host.ErrNotFound {
		return true
	}
	mtls, err := host.Property(host.MTLS)
	if err != nil || len(mtls) != 1 || mtls[0] != 0 {
		return true
	}
	listener, err := host.Text(host.DestinationAddress)
	return err != nil || strings.HasPrefix(listener, "envoy://")
}
