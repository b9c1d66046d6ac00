package plugin

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/replay"
	"github.com/weir-mesh/weir/policy/decimal"
	"github.com/weir-mesh/weir/policy/header"
)

// attemptStream is an attempt that another plugin of this worker makes, on its way through the internal listener of
// retry.via. It lets nothing else pass, keeps the router from retrying, notes how the attempt ends, and ends a response
// that could not be passed on. It implements host.HTTPContext.
type attemptStream struct {
	host.DefaultHTTPContext
	plugin  *Plugin
	attempt *replay.Attempt // nil: it is not one
	head    bool            // the method is HEAD
	ended   bool            // by this filter
}

// OnHTTPRequestHeaders implements host.HTTPContext.
func (s *attemptStream) OnHTTPRequestHeaders(int, bool) (action host.Action) {
	host.ReuseMemory()
	defer s.rescue(&action)
	headers, err := host.All(host.RequestHeaders)
	if err != nil {
		return s.refuse(err.Error())
	}
	internal, over := false, false
	headers.All(func(name, value string) bool {
		switch name {
		case header.Attempt:
			s.attempt = s.plugin.vm.inFlight.Find(value)
			over = s.attempt == nil && s.plugin.vm.inFlight.HasEnded(value)
		case ":method":
			s.head = value == "HEAD"
		case "x-envoy-internal":
			internal = true
		}
		return true
	})
	redirected := s.plugin.redirected
	s.plugin.redirected = nil
	if s.attempt == nil {
		s.attempt = redirected
	}
	a := s.attempt
	switch {
	case over: // nobody waits for the reply
		s.ended = true
		return s.reply(504, "weir_attempt_over", "the attempt has ended before it came here")
	case a == nil:
		return s.refuse("a request that is no attempt of Weir in this worker; is vm_config the same as in the traffic's listener?")
	}
	a.Seen = true
	if a.Asks {
		s.ended = true
		return s.reply(204, "weir_asked", "")
	}
	s.remove(header.Attempt)
	s.remove(header.AttemptClient)
	if internal && !a.Internal { // Envoy adds it to what a filter sends
		s.remove("x-envoy-internal")
	}
	if !s.sameMetadata() {
		return s.end(replay.Metadata)
	}
	// The route's own retries would multiply the policy's, and its timeout is not that of an attempt.
	s.set("x-envoy-max-retries", "0")
	s.set("x-envoy-upstream-rq-timeout-ms", strconv.FormatInt(max(a.Timeout.Milliseconds(), 1), 10))
	if !s.leadsTo(a.Cluster) {
		if a == redirected {
			return s.end(replay.WentElsewhere)
		}
		return s.end(replay.OtherCluster)
	}
	return host.Continue
}

// leadsTo reports whether the route leads to a cluster. One that a later filter chooses again is seen at the response.
func (s *attemptStream) leadsTo(cluster string) bool {
	name, err := host.Property(host.ClusterName)
	return err != nil || string(name) == cluster
}

// OnHTTPResponseHeaders implements host.HTTPContext.
func (s *attemptStream) OnHTTPResponseHeaders(int, bool) (action host.Action) {
	host.ReuseMemory()
	defer s.rescue(&action)
	a := s.attempt
	if a != nil && a.Asks {
		s.noteAdded()
	}
	if a == nil || s.ended {
		return host.Continue
	}
	s.note()
	if a.Details != outcome.DetailsUpstream {
		return host.Continue // short, by Envoy or another filter
	}
	if !s.leadsTo(a.Cluster) {
		return s.end(replay.WentElsewhere)
	}
	headers, err := host.All(host.ResponseHeaders)
	if err != nil {
		s.fault(err)
		return host.Continue
	}
	headers.All(func(name, value string) bool {
		switch name {
		case ":status":
			a.Status, _ = decimal.Int(value)
		case "content-type":
			if header.IsEvents(value) {
				a.Reason = replay.ResponseEvents
			}
		case "content-length":
			if n, ok := decimal.Int(value); ok && n > replay.MaxResponse && !s.head {
				a.Reason = replay.ResponseTooLong
			}
		}
		return true
	})
	if a.Reason != replay.None {
		return s.end(a.Reason)
	}
	return host.Continue
}

// noteAdded notes what the route has added to a reply that has nothing of its own.
func (s *attemptStream) noteAdded() {
	if !s.leadsTo(s.attempt.Cluster) { // another of weighted clusters, which may add something else
		return
	}
	headers, err := host.All(host.ResponseHeaders)
	if err != nil {
		s.fault(err)
		return
	}
	headers.All(func(name, value string) bool {
		if name[0] != ':' && name != "content-length" && !header.IsOwn(name) {
			s.attempt.Added = append(s.attempt.Added, [2]string{strings.Clone(name), strings.Clone(value)})
		}
		return true
	})
}

// note notes what has ended the attempt, or answered it.
func (s *attemptStream) note() {
	if details, err := host.Text(host.ResponseCodeDetails); err == nil {
		s.attempt.Details = strings.Clone(details)
	}
}

// OnHTTPResponseBody implements host.HTTPContext.
func (s *attemptStream) OnHTTPResponseBody(size int, _ bool) (action host.Action) {
	defer s.rescue(&action)
	if s.attempt == nil || s.ended || !s.attempt.Left && s.plugin.vm.inFlight.Add(s.attempt, size) {
		return host.Continue
	}
	return s.end(s.attempt.Reason)
}

// OnHTTPResponseTrailers implements host.HTTPContext.
func (s *attemptStream) OnHTTPResponseTrailers(int) (action host.Action) {
	host.ReuseMemory()
	defer s.rescue(&action)
	if s.attempt != nil && !s.ended && !s.transcoded() {
		s.attempt.Reason = replay.ResponseTrailers
	}
	return host.Continue
}

// transcoded reports whether the response's trailers are those of a gRPC call that ended well, of which a transcoder behind Weir
// has made what the client asked for, and left the trailers. Calls as such are not sent again.
func (s *attemptStream) transcoded() bool {
	trailers, err := host.All(host.ResponseTrailers)
	if err != nil {
		return false
	}
	ok := false
	for c := trailers.Cursor(); c.Next(); {
		if !strings.HasPrefix(c.Name, "grpc-") {
			return false
		}
		ok = ok || c.Name == "grpc-status" && c.Value == "0"
	}
	return ok
}

// OnHTTPStreamDone implements host.HTTPContext.
func (s *attemptStream) OnHTTPStreamDone() {
	var action host.Action
	defer s.rescue(&action)
	if s.attempt == nil || s.ended {
		return
	}
	s.note()
	if s.attempt.Details == detailsRedirected {
		s.plugin.redirected = s.attempt
	}
}

// detailsRedirected end a stream that the router begins anew with upstream's redirect (internal_redirect_policy). The next
// stream's headers come before anything else does, without header.Attempt, which is removed here.
const detailsRedirected = "internal_redirect"

// end ends the attempt. Before a response's headers it is answered, after them it is reset.
func (s *attemptStream) end(why replay.Reason) host.Action {
	s.ended, s.attempt.Reason = true, why
	return s.reply(502, "weir_attempt_ended", why.String())
}

// refuse answers a request that must not pass.
func (s *attemptStream) refuse(why string) host.Action {
	s.ended = true
	s.fault(errors.New("attempts: " + why))
	return s.reply(403, "weir_no_attempt", "not an attempt of Weir")
}

func (s *attemptStream) reply(status int, details, text string) host.Action {
	headers := []header.Pair{{header.Attempt, "none"}}
	if text != "" {
		headers = append(headers, header.Pair{"content-type", "text/plain"})
	}
	err := host.SendLocalReply(host.LocalReply{
		Status: status, Details: details, Body: []byte(text), GRPC: localreply.NoGRPC, Headers: headers,
	})
	if err != nil {
		s.fault(err)
	}
	return host.Pause
}

func (s *attemptStream) set(name, value string) {
	if err := host.ReplaceHeader(host.RequestHeaders, name, value); err != nil {
		s.fault(err)
	}
}

func (s *attemptStream) remove(name string) {
	if err := host.RemoveHeader(host.RequestHeaders, name); err != nil {
		s.fault(err)
	}
}

func (s *attemptStream) fault(err error) { s.plugin.observe.Faults.Report(err.Error()) }

// rescue turns a panic into a counted fault, and the attempt passes.
func (s *attemptStream) rescue(action *host.Action) {
	if r := recover(); r != nil {
		s.plugin.observe.Faults.Report(panicText(r))
		*action = host.Continue
	}
}

// unsent is why the request can't go through the routes again as it did, replay.None where it can. What its route does may
// depend on dynamic metadata that filters have noted, and on the client's certificate. Neither comes along to the internal
// listener, and a route that sets a header by them would leave the client's own there. The same metadata may be noted there
// again, by the same filters before Weir: sameMetadata compares.
func (s *stream) unsent(now int64) replay.Reason {
	if !s.recording.Whole() {
		return s.recording.Reason()
	}
	metadata, ok := noted()
	if !ok || len(metadata) > 0 && now < s.plugin.otherMetadata[s.decider()] {
		return replay.Metadata
	}
	s.metadata = metadata
	certificate, err := host.Property(host.MTLS)
	if err == nil && len(certificate) > 0 && certificate[0] != 0 {
		return replay.Certificate
	}
	return replay.None
}

// decider is the name of the cluster whose policy decided.
func (s *stream) decider() string {
	if c := s.request.Decider(); c != nil {
		return c.Upstream()
	}
	return ""
}

// noted is the dynamic metadata of the stream, canonical. ok is false where it can't be read.
func noted() (canonical []byte, ok bool) {
	raw, err := host.Property(host.Metadata)
	if err != nil {
		return nil, err == host.ErrNotFound
	}
	return replay.CanonicalMetadata(raw)
}

// sameMetadata reports whether the filters here have noted about the attempt what those of the traffic's listener have.
func (s *attemptStream) sameMetadata() bool {
	here, ok := noted()
	return ok && bytes.Equal(here, s.attempt.Metadata)
}

// metadataPause is how long requests with dynamic metadata are sent once after an attempt whose metadata were not the same:
// else each of them would wait for an attempt that can't be carried.
const metadataPause = time.Minute

// pauseMetadata begins that time for a cluster.
func (p *Plugin) pauseMetadata(cluster string, now int64) {
	if p.otherMetadata == nil || len(p.otherMetadata) >= maxClusters {
		p.otherMetadata = map[string]int64{}
	}
	p.otherMetadata[cluster] = now + int64(metadataPause)
}
