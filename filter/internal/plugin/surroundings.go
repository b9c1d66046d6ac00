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
	identified bool
}

var _ fallbackcache.Surroundings = (*surroundings)(nil)

// ahead reads what may be needed while the stream waits.
func (a *surroundings) ahead() {
	if a.read {
		return
	}
	a.route, a.identified = string(appendRoute(nil)), identified()
	a.read = true
}

// AppendRoute implements fallbackcache.Surroundings.
func (a *surroundings) AppendRoute(b []byte) []byte {
	if a.read {
		return append(b, a.route...)
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

// appendRoute appends the listener's direction and the route's name; where it has none, that of the virtual host, which
// tells at least two of those apart:
//
//	8 bytes direction │ 0 │ name of the route
//	8 bytes direction │ 1 │ name of the virtual host
func appendRoute(b []byte) []byte {
	direction, _ := host.Property(host.ListenerDirection) // "" where there is none
	b = append(b, direction...)
	if name, _ := host.Property(host.RouteName); len(name) > 0 {
		return append(append(b, 0), name...)
	}
	name, _ := host.Property(host.VirtualHostName)
	return append(append(b, 1), name...)
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
