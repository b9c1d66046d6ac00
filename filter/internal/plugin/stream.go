package plugin

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/replay"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/retries"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
)

// stream is one HTTP stream. A fault in one of its callbacks is counted, and the request passes. It implements
// host.HTTPContext.
type stream struct {
	host.DefaultHTTPContext
	plugin  *Plugin
	id      uint32
	request request.Request
	head    bool // the method is HEAD
	ended   bool // the response that is replaced has no body

	asksForAttempts bool // it has one of retries.RequestHeaders

	around surroundings

	retypes bool   // a local reply is on its way, to which Envoy gives another content-type
	typed   string // its own, "" where it has none

	path []byte // request.Incoming.Path

	recording replay.Recording // of the request, for another attempt
	paused    int64            // when it began to wait for Redis; 0: it never did
	until     int64            // how long its response may be held back; 0: it never was
	watched   bool             // Plugin.watched has it
	call      *replay.Attempt  // the filter's last attempt
	asked     *replay.Attempt  // what the route adds to responses; nil: not asked
	// Those of the callback that runs, valid in it alone. Here since it is passed on as an interface, by its address: TinyGo
	// allocates what an interface of a slice holds.
	headers host.Headers

	metadata []byte // that filters have noted about the request, canonical, where it is sent again

	// A header that was removed or set makes Envoy choose the route again, so the request may go to another cluster
	// than the one whose policy decided. So it may by a filter before this one, see route.go.
	rerouted       bool
	failedOverFrom *request.Cluster // nil: no failover
	noted          bool             // for the access log
	checksRoute    bool             // although no policy decides
	routeChecked   bool
	passedAs       string // the cluster that had no policy; where checksRoute
}

// OnHTTPRequestHeaders implements host.HTTPContext.
func (s *stream) OnHTTPRequestHeaders(_ int, ended bool) (action host.Action) {
	host.ReuseMemory()
	headers, err := host.All(host.RequestHeaders)
	if err != nil {
		s.fault(err)
		return host.Continue
	}
	s.headers = headers
	var in request.Incoming
	method := s.read(headers, &in)
	// A route without a cluster (a direct response, a redirect), or with an unknown one, has no such property.
	name, err := host.Text(host.ClusterName)
	if err != nil {
		s.pass("", &in, ended)
		return host.Continue
	}
	c := s.plugin.choose(name)
	if c == nil {
		s.pass(name, &in, ended)
		return host.Continue
	}
	step := s.begin(c, &in, method, ended)
	if step.Kind == request.Failover {
		s.failedOverFrom, s.rerouted = c, true
		s.setHeaders(host.RequestHeaders, step.Set)
		in.FailedOver = true
		step = s.begin(step.To, &in, method, ended)
	}
	s.noteDecision()
	action = s.carryOut(host.RequestHeaders, step)
	if s.request.Records() {
		s.recording.Begin(s.plugin.vm.recorder, s.headers, ended, s.request.MaxRecord())
	}
	return action
}

// begin lets a cluster's policy decide about the request.
func (s *stream) begin(c *request.Cluster, in *request.Incoming, method string, ended bool) request.Step {
	if s.asksForAttempts && c.OwnsAttempts() {
		s.removeAttempts()
	}
	if c.Key() != nil {
		in.Key = s.fingerprint(c, &s.headers)
	}
	if c.Cache() != nil && !in.GRPC && !in.Upgrade {
		in.Cache = c.Cache().Key(&s.headers, ended, &s.around)
	}
	in.Retry, in.Body = c.Retries(method), !ended
	in.ErrorOnly = in.Upgrade || c.ErrorOnly(method)
	if !in.ErrorOnly && c.DefaultsByPath() {
		s.path = append(s.path[:0], fallback.PathOf(header.First(&s.headers, ":path"))...)
		in.Path = s.path
	}
	return s.request.Begin(c, in, host.Now())
}

// removeAttempts removes the headers by which a client asks the router for more attempts.
func (s *stream) removeAttempts() {
	s.rerouted = true
	for _, name := range retries.RequestHeaders {
		if err := host.RemoveHeader(host.RequestHeaders, name); err != nil {
			s.fault(err)
		}
	}
}

// OnHTTPResponseHeaders implements host.HTTPContext.
func (s *stream) OnHTTPResponseHeaders(_ int, ended bool) (action host.Action) {
	host.ReuseMemory()
	if s.retypes {
		s.retype()
	}
	if s.checksRoute {
		s.checkRoute(host.Now())
	}
	if !s.request.WantsResponse() {
		return host.Continue
	}
	s.noteDecision() // in shadow it may come later than the request went on
	s.ended = ended
	headers, err := host.All(host.ResponseHeaders)
	if err != nil {
		s.fault(err)
		return host.Continue
	}
	s.headers = headers
	read := readAnswer(headers)
	details, err := read.details()
	if err != nil {
		s.fault(err)
		return host.Continue
	}
	response := request.Response{
		Status: read.status, Details: details, GRPC: grpcStatus(read.grpc), Ended: ended,
		Attempts: s.routerAttempts(),
	}
	if s.request.RetriesOn(response.Status, details) {
		response.Unsent = s.unsent(host.Now())
		response.Replayable = response.Unsent == replay.None
	}
	if response.Status >= 300 && (response.Replayable || s.request.WantsRetryAfter()) {
		response.RetryAfter = wait(read.retryAfter)
	}
	now := host.Now()
	if !s.routeChecked && (s.request.ChecksRoute(&response) || s.rerouted) {
		s.checkRoute(now)
		if !s.request.WantsResponse() { // nobody's breaker learns from it
			s.recording.Drop()
			return host.Continue
		}
	}
	if read.own && outcome.KindOf(details) == outcome.ByUpstream {
		response.Inner = s.inner(headers)
	}
	if s.request.WantsType(ended, now) {
		response.Events = header.IsEvents(read.contentType)
	}
	s.readAge(details, response.Status, response.GRPC, now)
	step := s.request.Respond(&response, now)
	s.plugin.watch(s)
	if step.Kind == request.HoldResponse {
		s.waits()
		s.plugin.hold(s, now)
		return host.Pause
	}
	s.recording.Drop()
	if s.request.MayKeep() {
		s.keep(ended, now)
	}
	return s.carryOut(host.ResponseHeaders, step)
}

// waits reads what the request may need from the host while it waits.
func (s *stream) waits() {
	if s.request.UsesCache() {
		s.around.ahead()
	}
}

// OnHTTPStreamDone implements host.HTTPContext.
func (s *stream) OnHTTPStreamDone() {
	s.plugin.forget(s)
	s.recording.Drop()
	if s.request.Unsettled() {
		s.gone()
	}
	s.plugin.vm.streams.put(s)
}

// gone settles what is not settled yet.
func (s *stream) gone() {
	details, err := host.Text(host.ResponseCodeDetails)
	if err != nil && err != host.ErrNotFound {
		s.fault(err)
	}
	now := host.Now()
	if !s.routeChecked && s.request.ChecksRouteAtEnd(details, outcome.NoGRPC) {
		s.checkRoute(now)
	}
	s.readAge(details, 0, outcome.NoGRPC, now)
	s.request.Gone(details, s.routerAttempts(), now)
}

// forget removes a stream that has ended from the maps in which it may have waited.
func (p *Plugin) forget(s *stream) {
	if s.watched {
		delete(p.watched, s.id)
	}
	if s.until != 0 {
		delete(p.held.streams, s.id)
		if s.call != nil {
			s.call.Left = true
		}
	}
	if s.paused != 0 {
		delete(p.redis.paused, s.id)
	}
}

// carryOut carries out a step on the request or the response that m belongs to.
func (s *stream) carryOut(m host.Map, step request.Step) host.Action {
	switch step.Kind {
	case request.SendReply:
		return s.sendReply(m, step.Reply)
	case request.PauseRequest:
		s.waits()
		s.plugin.pause(s)
		return host.Pause
	default:
		s.setHeaders(m, step.Set)
		return host.Continue
	}
}

// sendReply answers the client with a reply. One that is to be as it is takes the place of the response that m belongs to,
// where that needs no body; else it is a local reply, which has a content-type by Envoy's rules:
//
//	                     Envoy sends                  what is done
//	a type, no body      no type                      in place; at request time it is set on the local reply
//	no type, a body      content-type: text/plain     an empty one is sent; at request time it is removed as well
//
// A local reply at request time runs through this filter's response callback, one at response time through none.
func (s *stream) sendReply(m host.Map, r *localreply.Reply) host.Action {
	changes := r.ChangesType()
	if m == host.ResponseHeaders && (s.head && (r.FromUpstream || changes) || s.ended && len(r.Body) == 0 && changes) {
		if err := host.ReplaceAll(host.ResponseHeaders, s.inPlace(r)); err != nil {
			s.fault(err)
		}
		return host.Continue
	}
	headers := r.Headers
	if r.FromUpstream && s.asked != nil {
		headers = replay.WithoutAdded(headers, s.asked.Added, s.call.Cluster == s.asked.Cluster)
	}
	if changes {
		s.retypes, s.typed = m == host.RequestHeaders, strings.Clone(r.ContentType())
		if s.typed == "" {
			headers = append(headers[:len(headers):len(headers)], header.Pair{"content-type", ""})
		}
	}
	err := host.SendLocalReply(host.LocalReply{Status: r.Status, Details: r.Details, Headers: headers, Body: r.Body, GRPC: r.GRPC})
	if err != nil {
		s.fault(err)
		return host.Continue
	}
	return host.Pause
}

// inPlace is a reply to a HEAD, or one without a body, as the whole header map. The content-length of upstream's response
// is among its headers, that of a kept one is of the body that a GET gets.
func (s *stream) inPlace(r *localreply.Reply) []header.Pair {
	headers := replay.InPlace(r.Status, r.Headers)
	if len(r.Body) > 0 && !r.FromUpstream {
		headers = append(headers, header.Pair{"content-length", strconv.Itoa(len(r.Body))})
	}
	return headers
}

// retype gives the local reply that passes just now its own content-type.
func (s *stream) retype() {
	s.retypes = false
	var err error
	if s.typed == "" {
		err = host.RemoveHeader(host.ResponseHeaders, "content-type")
	} else {
		err = host.ReplaceHeader(host.ResponseHeaders, "content-type", s.typed)
	}
	if err != nil {
		s.fault(err)
	}
}

func (s *stream) setHeaders(m host.Map, set []header.Pair) {
	for _, h := range set {
		if err := host.ReplaceHeader(m, h[0], h[1]); err != nil {
			s.fault(err)
		}
	}
}

// fault counts a failure of the filter itself; the request passes as if there were no policy.
func (s *stream) fault(err error) { s.plugin.observe.Faults.Report(err.Error()) }

// routerAttempts is how often the router has sent the request, 0 if that is not needed.
func (s *stream) routerAttempts() int {
	if !s.request.CountsAttempts() {
		return 0
	}
	return number(host.RequestAttempts)
}

// number reads an attribute that is a u64, 0 if it is missing.
func number(p host.Path) int {
	value, err := host.Property(p)
	if err != nil || len(value) != 8 {
		return 0
	}
	return int(binary.LittleEndian.Uint64(value))
}
