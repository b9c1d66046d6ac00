package plugin

import (
	"fmt"

	"github.com/weir-mesh/weir/filter/internal/admin"
	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/filter/internal/observe"
	"github.com/weir-mesh/weir/filter/internal/shareddata"
)

// adminPlugin serves the admin API, and nothing else: a plugin whose document is `{"admin": {}}`.
type adminPlugin struct {
	handler *admin.Handler
	audit   observe.Audit
	renew   func() *admin.Handler
}

func newAdminPlugin(p *Plugin) *adminPlugin {
	a := &adminPlugin{audit: observe.Audit{Metrics: p.observe.Metrics, Faults: p.observe.Faults}}
	a.renew = func() *admin.Handler {
		metrics := observe.AdminMetrics{Metrics: p.observe.Metrics}
		return admin.NewHandler(shareddata.Store{}, p.worker.Seed, p.document.AdminHosts, metrics, a.audit)
	}
	a.handler = a.renew()
	return a
}

func (a *adminPlugin) newStream() host.HTTPContext { return &adminStream{admin: a} }

// adminStream is one request to the admin API. It is answered when its headers have come.
type adminStream struct {
	host.DefaultHTTPContext
	admin *adminPlugin
}

// OnHttpRequestHeaders implements host.HTTPContext.
func (s *adminStream) OnHttpRequestHeaders(_ int, ended bool) (action host.Action) {
	host.ReuseMemory()
	a := s.admin
	defer func() {
		if r := recover(); r != nil {
			a.handler = a.renew()
			action = s.send(admin.InternalError(fmt.Errorf("%v", r), a.audit))
		}
	}()
	headers, err := host.All(host.RequestHeaders)
	if err != nil {
		return s.send(admin.InternalError(err, a.audit))
	}
	return s.send(a.handler.Handle(adminRequest(headers, ended), admin.Instant{Monotonic: host.Now(), Wall: host.WallNano()}))
}

// repeated is the value that is read for an Origin or a Sec-Fetch-Site that occurs more than once. It is never trusted.
const repeated = "null"

// adminRequest reads what decides about a request. Of any other header that occurs twice the last value counts.
func adminRequest(headers host.Headers, ended bool) *admin.Request {
	r := &admin.Request{Ended: ended}
	once := func(field *string, value string) {
		if *field != "" {
			value = repeated
		}
		*field = value
	}
	headers.All(func(name, value string) bool {
		switch name {
		case ":method":
			r.Method = value
		case ":path":
			r.Target = value
		case ":authority":
			r.Host = value
		case "origin":
			once(&r.Origin, value)
		case "sec-fetch-site":
			once(&r.FetchSite, value)
		case "content-type":
			r.ContentType = value
		case "content-length":
			r.Length = value
		}
		return true
	})
	return r
}

func (s *adminStream) send(r admin.Response) host.Action {
	err := host.SendLocalReply(host.LocalReply{
		Status: r.Status, Details: "weir_admin", Headers: r.Headers, Body: r.Body, GRPC: localreply.NoGRPC,
	})
	if err != nil {
		s.admin.audit.Faults.Report("admin: " + err.Error())
		return host.Continue // to a route that leads nowhere
	}
	return host.Pause
}
