package request

import "github.com/weir-mesh/weir/filter/internal/outcome"

// hosts is what is known of a cluster's hosts: Envoy tells the filter nothing about their health until a request finds
// none.
type hosts struct {
	gauge HostGauge // nil: it is not shown
	none  bool      // as shown
}

// ShowHosts tells where it is shown whether the cluster has a healthy host.
func (c *Cluster) ShowHosts(g HostGauge) { c.hosts.gauge = g }

// RefreshHosts reads what another worker found.
func (c *Cluster) RefreshHosts() { c.hosts.none = c.hosts.gauge.HasNoHealthyHost() }

// observe takes what became of a request, and shows it where it is new.
func (h *hosts) observe(e outcome.Event, details string) {
	none := e == outcome.ConnectFailure && details == outcome.DetailsNoHealthyHost
	if none == h.none || (!none && e != outcome.Answered) || h.gauge == nil {
		return
	}
	h.none = none
	h.gauge.NoHealthyHost(none)
}
