package plugin

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/replay"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/policy/retry"
	"github.com/weir-mesh/weir/sharedstate"
)

// heldStreams are the streams whose response is held back while the filter makes further attempts, and their alarms. A
// stream is looked up by its id each time, since its client may have left.
type heldStreams struct {
	streams map[uint32]*stream
	alarms  alarms
	period  time.Duration
}

// grace is how long after the expected time a held stream still waits, before its first response passes.
const grace = 2 * time.Second

// hold holds a stream's response back until its next attempt.
func (p *Plugin) hold(s *stream, now int64) {
	due, _ := s.request.DueAt()
	p.held.streams[s.id] = s
	s.until = due + int64(grace)
	p.held.alarms.add(due, s.id)
	p.setTimer(now)
}

// setTimer has OnTick called when the next alarm is due. (Envoy restarts its timer only if the period changes.)
func (p *Plugin) setTimer(now int64) {
	period := p.held.alarms.until(now, p.ticks())
	period = max((period + time.Millisecond - 1).Truncate(time.Millisecond), time.Millisecond)
	if period == p.held.period {
		return
	}
	if err := host.Every(uint32(period.Milliseconds())); err != nil {
		p.observe.Faults.Log(err.Error())
		return
	}
	p.held.period = period
}

// retryDue makes the attempts that are due.
func (p *Plugin) retryDue(now int64) {
	for {
		id, ok := p.held.alarms.next(now)
		if !ok {
			return
		}
		s := p.held.streams[id]
		if s == nil {
			p.lookAt(id, now)
			continue
		}
		if due, waits := s.request.DueAt(); waits && due <= now {
			p.carryOutHeld(s, func() request.Step { return s.request.Due(s.keyOfRecording, now) })
		}
	}
}

// keyOfRecording hashes the recorded request for another cluster's limit by key.
func (s *stream) keyOfRecording(c *request.Cluster) sharedstate.Fingerprint {
	return s.fingerprint(c, s.recording.Headers())
}

// carryOutHeld carries out a step for a held stream, in the plugin's context. After a panic the first response passes.
func (p *Plugin) carryOutHeld(s *stream, decide func() request.Step) {
	defer func() {
		if r := recover(); r != nil {
			p.observe.Faults.Report(panicText(r))
			s.request.Forget()
			p.finishHeld(s, request.Step{})
		}
	}()
	now := host.Now()
	switch step := decide(); step.Kind {
	case request.HoldResponse:
		p.hold(s, now)
	case request.PauseRequest:
		s.until = now + p.redis.pauseTimeout()
		p.pause(s)
	case request.SendAttempt:
		p.sendAttempt(s, step.Send, now)
	default:
		p.finishHeld(s, step)
	}
}

// finishHeld sends a held stream its response: the step's local reply, or the first response, which was held back.
func (p *Plugin) finishHeld(s *stream, step request.Step) {
	delete(p.held.streams, s.id)
	if err := host.Enter(s.id); err != nil {
		s.fault(err)
		return
	}
	if s.carryOut(host.ResponseHeaders, step) == host.Continue {
		s.resumeResponse()
	}
	s.recording.Drop()
	if err := host.Enter(p.id); err != nil {
		s.fault(err)
	}
}

func (s *stream) resumeResponse() {
	if err := host.ResumeResponse(); err != nil {
		s.fault(err)
	}
}

// maxRolls is how often an attempt is sent again whose route chose another cluster than the one that admitted it: a
// route with weighted clusters chooses for each request. With two of the same weight, one in 250 attempts then fails.
const maxRolls = 8

// sendAttempt sends a stream's request again.
func (p *Plugin) sendAttempt(s *stream, a *request.Send, now int64) { p.roll(s, a, now, maxRolls) }

func (p *Plugin) roll(s *stream, a *request.Send, now int64, rolls int) {
	timeout := max(a.Timeout.Truncate(time.Millisecond), time.Millisecond)
	attempt := p.vm.inFlight.Begin(a.Cluster, timeout, p.worker.Random(), now)
	if attempt == nil {
		p.uncarried(s, replay.TooManyAttempts, now)
		return
	}
	s.until = now + int64(timeout+grace)
	s.call = attempt
	if err := host.Enter(s.id); err != nil {
		s.fault(err)
	}
	client := clientIP()
	route, _ := host.Text(host.ClusterName) // "" where there is none
	route = strings.Clone(route)
	if err := host.Enter(p.id); err != nil {
		s.fault(err)
	}
	p.ask(s, a, route, client, timeout, now)
	headers, body := s.recording.Request()
	attempt.Metadata = s.metadata
	attempt.Internal = has(headers, "x-envoy-internal")
	headers = append(headers, header.Pair{header.Attempt, attempt.ID}, header.Pair{header.AttemptClient, client})
	headers = append(headers, a.Set...)
	_, err := host.Dispatch(a.Via, headers, body, uint32(timeout.Milliseconds()), func(size int) {
		host.ReuseMemory()
		defer p.rescue()
		p.vm.inFlight.End(attempt)
		switch {
		case p.held.streams[s.id] != s || s.call != attempt: // the client has left
		case attempt.Reason == replay.Metadata:
			p.pauseMetadata(s.decider(), now)
			p.attemptEnded(s, attempt, size, now)
		case attempt.Reason == replay.OtherCluster && rolls > 0 && len(a.Set) == 0: // upstream has not seen it
			p.roll(s, a, now, rolls-1)
		default:
			p.attemptEnded(s, attempt, size, now)
		}
	})
	if err != nil {
		p.vm.inFlight.End(attempt)
		p.observe.Faults.Report("retry.via: Envoy could not send an attempt to the cluster " + a.Via + ": " + err.Error())
		p.uncarried(s, replay.NoWay, now)
	}
}

// ask asks the internal listener, once for each request, what the request's route, which leads to this cluster, adds to
// responses: Envoy adds it to the reply as well. It is sent before the attempt, so that the answer is there before the
// attempt's.
func (p *Plugin) ask(s *stream, a *request.Send, cluster, client string, timeout time.Duration, now int64) {
	var set []header.Pair // that lead to the route
	switch {
	case s.head || s.asked != nil: // a reply to a HEAD takes the first response's place
		return
	case a.Cluster == cluster:
		set = a.Set
	case s.failedOverFrom != nil: // the request went to one region, the attempt goes to another
		return
	}
	asked := p.vm.inFlight.Begin(cluster, timeout, p.worker.Random(), now)
	if asked == nil {
		return
	}
	asked.Asks = true
	headers, _ := s.recording.Request()
	headers = append(headers, header.Pair{header.Attempt, asked.ID}, header.Pair{header.AttemptClient, client})
	headers = append(headers, set...)
	_, err := host.Dispatch(a.Via, headers, nil, uint32(timeout.Milliseconds()), func(int) {
		defer p.rescue()
		p.vm.inFlight.End(asked)
	})
	if err != nil { // so will the attempt's
		p.vm.inFlight.End(asked)
		return
	}
	s.asked = asked
}

func has(headers [][2]string, name string) bool {
	return slices.ContainsFunc(headers, func(h [2]string) bool { return h[0] == name })
}

// uncarried ends an attempt that was not made.
func (p *Plugin) uncarried(s *stream, why replay.Reason, now int64) {
	if p.observe.Debug {
		host.Debug("weir: an attempt was not made: " + why.String())
	}
	s.attemptEnded(&request.AttemptResult{Reason: why}, now)
}

// attemptEnded reads the result of an attempt that was sent at this time, in nanoseconds.
func (p *Plugin) attemptEnded(s *stream, attempt *replay.Attempt, size int, sent int64) {
	now := host.Now()
	headers, err := host.All(host.CallHeaders)
	if err != nil {
		headers = nil // no response
	}
	var body []byte
	if size > 0 && len(headers) > 0 && attempt.Reason == replay.None {
		if body, err = host.Bytes(host.CallBody, 0, min(size, replay.MaxResponse)); err != nil {
			headers, body = nil, nil
			s.fault(err)
		}
	}
	a := p.vm.recorder.Response(&replay.CallResult{
		Headers: headers, Body: body, BodySize: size, Took: time.Duration(now - sent), Timeout: attempt.Timeout, Attempt: attempt,
	})
	if a.Reason != replay.None && p.observe.Debug {
		host.Debug("weir: the response to an attempt can't be passed on: " + a.Reason.String())
	}
	asked, _ := retry.ParseRetryAfter(a.RetryAfter, host.Wall()) // 0 if it can't be read
	s.attemptEnded(&request.AttemptResult{
		Details: a.Details, Status: a.Status, RetryAfter: asked, Headers: a.Headers, Body: a.Body,
		Reason: a.Reason, Inner: innerPairs(headers),
	}, now)
	if s.request.MayKeep() {
		s.request.Keep(headers, len(body) == 0, now, host.Wall())
		s.request.Body(body)
		s.request.End(outcome.NoGRPC, now)
	}
}

func (s *stream) attemptEnded(result *request.AttemptResult, now int64) {
	s.plugin.carryOutHeld(s, func() request.Step { return s.request.AttemptEnded(result, now) })
}

var errHeldTooLong = errors.New("a response was held back for another attempt, which did not come")

// expireHeld lets the first responses pass whose streams have waited for too long: after a fault of the filter.
func (p *Plugin) expireHeld(now int64) {
	for _, s := range p.held.streams {
		if now > s.until {
			s.fault(errHeldTooLong)
			s.request.Abandon(now)
			p.finishHeld(s, request.Step{})
		}
	}
}
