package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-mesh/weir/filter/flow"
	"github.com/weir-mesh/weir/filter/host"
	"github.com/weir-mesh/weir/filter/replay"
	"github.com/weir-mesh/weir/policy/retry"
)

// stream is one request. Its callbacks read what flow wants to know and carry out its step; whatever goes wrong in one
// of them is counted and lets the request pass.
type stream struct {
	host.DefaultHTTPContext
	plugin    *plugin
	id        uint32
	paused    int64 // since when it waits for Redis
	exchange  flow.Exchange
	grpc      bool
	recording replay.Recording // of the request, for another try
	until     int64            // when what it is held back for is overdue
	call      uint64           // the number of the try that is out
	stripped  bool             // a client's x-weir-… headers were removed, so that Envoy chooses the route again
	cluster   string           // that was decided about, where it may change by that
	home      *flow.Plan       // of the cluster that the request was for, where it failed over to another one
}

// OnHttpRequestHeaders implements host.HTTPContext.
func (s *stream) OnHttpRequestHeaders(_ int, ended bool) (action host.Action) {
	host.ReuseMemory()
	defer s.rescue(&action)
	headers, err := host.All(host.RequestHeaders)
	if err != nil {
		s.fault(err)
		return host.Continue
	}
	request := s.read(headers)
	request.Stream = s.id
	// A route that has no cluster (a direct response, a redirect) or names an unknown one has no such property.
	cluster, err := host.Property(host.ClusterName)
	if err != nil {
		return host.Continue
	}
	plan := s.plugin.plan(cluster)
	if plan == nil {
		return host.Continue
	}
	if s.stripped {
		s.cluster = plan.Cluster()
	}
	step := s.begin(plan, request, headers, ended)
	if step.Kind == flow.Failover {
		s.home, s.cluster = plan, step.To.Cluster()
		for _, h := range step.Set {
			if err := host.ReplaceHeader(host.RequestHeaders, h[0], h[1]); err != nil {
				s.fault(err)
			}
		}
		request.Moved = true
		step = s.begin(step.To, request, headers, ended)
	}
	action = s.carryOut(host.RequestHeaders, step)
	if s.exchange.Records() {
		s.recording.Begin(&s.plugin.vm.recorder, headers, ended, s.exchange.MaxRecord())
	}
	return action
}

// OnHttpRequestBody implements host.HTTPContext.
func (s *stream) OnHttpRequestBody(size int, ended bool) (action host.Action) {
	if !s.recording.Wants() {
		return host.Continue
	}
	defer s.rescue(&action)
	for at := 0; at < size && s.recording.Wants(); {
		host.ReuseMemory()
		piece, err := host.Bytes(host.RequestBody, at, min(pieceSize, size-at))
		if err != nil || len(piece) == 0 {
			s.recording.Drop()
			s.fault(fmt.Errorf("%d of %d bytes of a request's body: %w", at, size, err))
			return host.Continue
		}
		at += len(piece)
		s.recording.Body(piece, ended && at == size)
	}
	if size == 0 {
		s.recording.Body(nil, ended)
	}
	return host.Continue
}

// OnHttpRequestTrailers implements host.HTTPContext.
func (s *stream) OnHttpRequestTrailers(int) host.Action {
	s.recording.Trailers()
	return host.Continue
}

// begin has a plan decide about the request.
func (s *stream) begin(plan *flow.Plan, request flow.Request, headers host.Headers, ended bool) flow.Step {
	if plan.Keyed() {
		request.Key = plan.Fingerprint(headers, s.clientIP(plan))
	}
	if plan.Caches() && !request.GRPC && !request.Upgrade {
		request.Cache = plan.CacheKey(headers, ended)
	}
	request.Retry = plan.Retries(request.Method)
	return s.exchange.Begin(plan, request, host.Now())
}

// clientIP is the client's address where the plan counts by it, "" where Envoy does not know it.
func (s *stream) clientIP(plan *flow.Plan) string {
	if !plan.ByClientIP() {
		return ""
	}
	address, err := host.Text(host.SourceAddress)
	if err != nil {
		return ""
	}
	return withoutPort(address)
}

// withoutPort takes the port off 192.0.2.1:80 and [2001:db8::1]:80.
func withoutPort(address string) string {
	if end := strings.LastIndexByte(address, ':'); end >= 0 {
		address = address[:end]
	}
	return strings.Trim(address, "[]")
}

// read takes from the headers what decides about a request, and removes those that only Weir may set.
func (s *stream) read(headers host.Headers) (request flow.Request) {
	headers.All(func(name, value string) bool {
		switch {
		case name == "content-type":
			request.GRPC = isGRPC(value)
		case name == "content-length":
			request.Long = flow.TooLongToRetry(value)
		case name == "upgrade":
			request.Upgrade = true
		case name == ":method":
			request.Method = value
			request.Upgrade = request.Upgrade || value == "CONNECT"
		case strings.HasPrefix(name, flow.HeaderPrefix), slices.Contains(s.plugin.failovers, name):
			s.stripped = true
			if err := host.RemoveHeader(host.RequestHeaders, name); err != nil {
				s.fault(err)
			}
		}
		return true
	})
	s.grpc = request.GRPC
	return request
}

// isGRPC knows application/grpc and application/grpc+proto, as Envoy does (Grpc::Common::isGrpcRequestHeaders), but not
// application/grpc-web, which is another protocol.
func isGRPC(contentType string) bool {
	rest, ok := strings.CutPrefix(contentType, "application/grpc")
	return ok && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// OnHttpResponseHeaders implements host.HTTPContext.
func (s *stream) OnHttpResponseHeaders(_ int, ended bool) (action host.Action) {
	host.ReuseMemory()
	defer s.rescue(&action)
	if !s.exchange.WantsAnswer() {
		return host.Continue
	}
	details, err := host.Text(host.ResponseCodeDetails)
	if err != nil && err != host.ErrNotFound {
		s.fault(err)
		return host.Continue
	}
	answer := flow.Answer{Status: s.status(), Details: details, GRPC: -1, Ended: ended, Tries: s.tries(), Whole: s.recording.Whole()}
	if answer.Whole && answer.Status >= 300 {
		answer.RetryAfter = s.retryAfter()
	}
	if s.grpc {
		answer.GRPC = grpcStatus(host.ResponseHeaders)
	}
	if (s.stripped || s.home != nil) && s.rerouted() {
		s.astray(host.Now())
		return host.Continue
	}
	now := host.Now()
	step := s.exchange.Answer(answer, now)
	if step.Kind == flow.Wait {
		s.plugin.hold(s, now)
		return host.Pause
	}
	s.recording.Drop()
	if s.exchange.Keeps() {
		headers, err := host.All(host.ResponseHeaders)
		if err != nil {
			s.fault(err)
		} else {
			s.exchange.Keep(headers, ended, now, host.Wall())
		}
	}
	return s.carryOut(host.ResponseHeaders, step)
}

// retryAfter is how long upstream asks to wait, 0 where it does not.
func (s *stream) retryAfter() time.Duration {
	value, err := host.Header(host.ResponseHeaders, "retry-after")
	if err != nil {
		return 0
	}
	wait, _ := retry.ParseRetryAfter(value, host.Wall()) // what says nothing asks for nothing
	return wait
}

// astray lets go of a request that went to another cluster than the one that was decided about.
func (s *stream) astray(now int64) {
	if s.home != nil {
		s.home.Missed(now)
		s.fault(errors.New("failover: " + s.home.Cluster() + ": no route leads to " + s.cluster + " by the header of failover.header; `weir render` shows the one that is needed"))
	}
	s.exchange.Abandon(now)
}

// tries is how often the router has sent the request, 0 where nobody needs it.
func (s *stream) tries() int {
	if !s.exchange.CountsTries() {
		return 0
	}
	count, err := host.Property(host.RequestAttempts)
	if err != nil || len(count) != 8 {
		return 0
	}
	return int(binary.LittleEndian.Uint64(count))
}

// status is the answer's status, 0 where Envoy has none: a number, where :status would be a text to read.
func (s *stream) status() int {
	code, err := host.Property(host.ResponseCode)
	if err != nil || len(code) != 8 {
		return 0
	}
	return int(binary.LittleEndian.Uint64(code))
}

// rerouted says that the request went to another cluster than the one that was decided about: a route had matched a
// header that was removed. What became of it says nothing about the first one.
func (s *stream) rerouted() bool {
	cluster, err := host.Property(host.ClusterName)
	return err == nil && string(cluster) != s.cluster
}

// grpcStatus reads grpc-status from headers or trailers, -1 where there is none.
func grpcStatus(m host.Map) int {
	value, err := host.Header(m, "grpc-status")
	if err != nil {
		return -1
	}
	status, err := strconv.Atoi(value)
	if err != nil || status < 0 {
		return -1
	}
	return status
}

// OnHttpResponseBody implements host.HTTPContext.
func (s *stream) OnHttpResponseBody(size int, ended bool) (action host.Action) {
	defer s.rescue(&action)
	if s.exchange.Copying() {
		s.copyBody(size)
	}
	if ended && s.exchange.Open() {
		s.exchange.End(-1, host.Now())
	}
	return host.Continue
}

// pieceSize is how much of a body is read at a time: what fits into the arena, so that a copy leaves no garbage.
const pieceSize = 32 << 10

// copyBody hands over a part of the answer's body that passes just now.
func (s *stream) copyBody(size int) {
	for at := 0; at < size && s.exchange.Copying(); {
		host.ReuseMemory()
		piece, err := host.Bytes(host.ResponseBody, at, min(pieceSize, size-at))
		if err != nil || len(piece) == 0 {
			s.exchange.Discard()
			s.fault(fmt.Errorf("%d of %d bytes of a body: %w", at, size, err))
			return
		}
		s.exchange.Body(piece)
		at += len(piece)
	}
}

// OnHttpResponseTrailers implements host.HTTPContext.
func (s *stream) OnHttpResponseTrailers(int) (action host.Action) {
	defer s.rescue(&action)
	s.exchange.Discard()
	if s.exchange.Open() {
		status := -1
		if s.grpc {
			status = grpcStatus(host.ResponseTrailers)
		}
		s.exchange.End(status, host.Now())
	}
	return host.Continue
}

// OnHttpStreamDone implements host.HTTPContext.
func (s *stream) OnHttpStreamDone() {
	var action host.Action
	defer s.rescue(&action)
	delete(s.plugin.paused, s.id)
	delete(s.plugin.held.streams, s.id)
	s.recording.Drop()
	if !s.exchange.Open() {
		return
	}
	details, err := host.Text(host.ResponseCodeDetails)
	if err != nil && err != host.ErrNotFound {
		s.fault(err)
	}
	s.exchange.Done(details, s.tries(), host.Now())
}

// carryOut does what flow decided, on the message that m belongs to.
func (s *stream) carryOut(m host.Map, step flow.Step) host.Action {
	switch step.Kind {
	case flow.SendReply:
		err := host.SendLocalReply(host.LocalReply{
			Status: step.Reply.Status, Details: step.Reply.Details,
			Headers: step.Reply.Headers, Body: step.Reply.Body, GRPC: step.Reply.GRPC,
		})
		if err != nil {
			s.fault(err)
			return host.Continue
		}
		return host.Pause
	case flow.Pause:
		s.paused = host.Now()
		s.plugin.paused[s.id] = s
		return host.Pause
	default:
		for _, h := range step.Set {
			if err := host.ReplaceHeader(m, h[0], h[1]); err != nil {
				s.fault(err)
			}
		}
		return host.Continue
	}
}

// fault counts a failure of the filter itself; the request goes on as if there were no policy.
func (s *stream) fault(err error) { s.plugin.faults.note(err.Error()) }

// rescue turns a panic into a counted fault that lets the request pass. (TinyGo has no recover: there Envoy reloads the
// VM, FAIL_RELOAD.)
func (s *stream) rescue(action *host.Action) {
	if r := recover(); r != nil {
		s.exchange.Forget()
		s.recording.Drop()
		s.plugin.faults.note(fmt.Sprint(r))
		*action = host.Continue
	}
}
