package request

import (
	"strings"

	"github.com/weir-mesh/weir/filter/internal/outcome"
)

// hosts is whether a cluster has a healthy host. Envoy does not show the filter their health until a request finds
// none.
type hosts struct {
	gauge HostGauge // nil: not shown
	none  bool      // no healthy host, as shown
}

// ShowHosts sets the gauge that shows whether the cluster has a healthy host.
func (c *Cluster) ShowHosts(g HostGauge) { c.hosts.gauge = g }

// RefreshHosts reads what another worker has shown.
func (c *Cluster) RefreshHosts() { c.hosts.none = c.hosts.gauge.HasNoHealthyHost() }

// observe updates the gauge by the event of a response.
func (h *hosts) observe(e outcome.Event, details string) {
	none := e == outcome.ConnectFailure && strings.HasPrefix(details, outcome.DetailsNoHealthyHost)
	if none == h.none || (!none && e != outcome.Answered) || h.gauge == nil {
		return
	}
	h.none = none
	h.gauge.NoHealthyHost(none)
}
