package plugin

import (
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/weir-mesh/weir/filter/adminapi"
	"github.com/weir-mesh/weir/filter/internal/admin"
	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/filter/internal/observe"
)

// adminPlugin serves the admin API, and nothing else: a plugin whose document is `{"admin": {}}`.
type adminPlugin struct {
	id      uint32 // of the plugin's context
	handler *admin.Handler
	audit   observe.Audit
	renew   func() *admin.Handler
	waiting map[uint32]*adminStream // those that a later status answers, by their ids
	period  time.Duration           // of onTick, 0: it is not called
}

func newAdminPlugin(p *Plugin) *adminPlugin {
	a := &adminPlugin{
		id: p.id, audit: observe.Audit{Store: p.worker.Store, Metrics: p.observe.Metrics, Faults: p.observe.Faults}, waiting: map[uint32]*adminStream{},
	}
	envoy := thisEnvoy()
	a.renew = func() *admin.Handler {
		metrics := observe.AdminMetrics{Metrics: p.observe.Metrics}
		return admin.NewHandler(p.worker.Store, p.worker.Seed, p.document.AdminHosts, envoy, metrics, a.audit, p.worker.Holds.Shown)
	}
	a.handler = a.renew()
	return a
}

// thisEnvoy is what Envoy says of itself, "" for what it does not.
func thisEnvoy() (e adminapi.Envoy) {
	id, _ := host.Proxy(host.NodeID)
	e.Node = string(id)
	for _, part := range [...]host.Path{host.VersionMajor, host.VersionMinor, host.VersionPatch} {
		n, err := host.Proxy(part)
		if err != nil || len(n) != 8 {
			e.Version = ""
			break
		}
		if e.Version != "" {
			e.Version += "."
		}
		e.Version += strconv.FormatUint(binary.LittleEndian.Uint64(n), 10)
	}
	return e
}

const (
	// pieceEvery is the time between two pieces of a status, in which the worker serves traffic.
	pieceEvery = 5 * time.Millisecond
	// dropEvery is how long a kept status stays in memory at least.
	dropEvery = time.Second
)

// onTick renders a piece of a status. When none is wanted any more, it drops the kept one a second later, and stops.
func (a *adminPlugin) onTick() {
	host.ReuseMemory()
	defer a.rescue()
	if a.handler.Rendering() {
		if done, response := a.handler.Continue(instant()); done != 0 {
			a.answer(done, response)
		}
		a.schedule()
		return
	}
	a.handler.DropKept()
	a.every(0)
}

// schedule sets when onTick is called next.
func (a *adminPlugin) schedule() {
	if a.handler.Rendering() {
		a.every(pieceEvery)
	} else {
		a.every(dropEvery)
	}
}

func (a *adminPlugin) every(period time.Duration) {
	if period == a.period {
		return
	}
	if err := host.Every(uint32(period.Milliseconds())); err != nil {
		a.audit.Faults.Log("admin: " + err.Error())
		return
	}
	a.period = period
}

// answer answers all who wait for a status; 0: all who wait for any.
func (a *adminPlugin) answer(done admin.Ticket, response admin.Response) {
	for id, s := range a.waiting {
		if done != 0 && s.waits != done {
			continue
		}
		delete(a.waiting, id)
		if err := host.Enter(id); err != nil {
			a.audit.Faults.Report("admin: " + err.Error())
			continue
		}
		if s.send(response) == host.Continue {
			if err := host.ResumeRequest(); err != nil {
				a.audit.Faults.Report("admin: " + err.Error())
			}
		}
	}
	if err := host.Enter(a.id); err != nil {
		a.audit.Faults.Report("admin: " + err.Error())
	}
}

// rescue turns a panic while a status is rendered into the answer of all who wait for one.
func (a *adminPlugin) rescue() {
	if r := recover(); r != nil {
		a.handler = a.renew()
		a.answer(0, admin.InternalError(errors.New(panicText(r)), a.audit))
	}
}

func instant() admin.Instant { return admin.Instant{Monotonic: host.Now(), Wall: host.WallNano()} }

func (a *adminPlugin) newStream(id uint32) host.HTTPContext { return &adminStream{admin: a, id: id} }

// adminStream is one request to the admin API. It is answered when its headers have come, or when the status is
// rendered that it waits for.
type adminStream struct {
	host.DefaultHTTPContext
	admin *adminPlugin
	id    uint32
	waits admin.Ticket
}

// OnHTTPRequestHeaders implements host.HTTPContext.
func (s *adminStream) OnHTTPRequestHeaders(_ int, ended bool) (action host.Action) {
	host.ReuseMemory()
	a := s.admin
	defer func() {
		if r := recover(); r != nil {
			a.handler = a.renew()
			failed := admin.InternalError(errors.New(panicText(r)), a.audit)
			a.answer(0, failed)
			if err := host.Enter(s.id); err != nil {
				a.audit.Faults.Report("admin: " + err.Error())
			}
			action = s.send(failed)
		}
	}()
	headers, err := host.All(host.RequestHeaders)
	if err != nil {
		return s.send(admin.InternalError(err, a.audit))
	}
	response := a.handler.Handle(adminRequest(headers, ended), instant())
	if response.Waits == 0 {
		return s.send(response)
	}
	s.waits = response.Waits
	a.waiting[s.id] = s
	a.schedule()
	return host.Pause
}

// OnHTTPStreamDone implements host.HTTPContext.
func (s *adminStream) OnHTTPStreamDone() {
	a := s.admin
	if a.waiting[s.id] != s {
		return
	}
	delete(a.waiting, s.id)
	if len(a.waiting) == 0 { // the client has left, and nobody else waits
		a.handler.Abandon()
	}
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
		case "accept-encoding":
			r.Encodings += "," + value
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
