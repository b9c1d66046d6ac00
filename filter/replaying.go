package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/weir-mesh/weir/filter/flow"
	"github.com/weir-mesh/weir/filter/host"
	"github.com/weir-mesh/weir/filter/replay"
	"github.com/weir-mesh/weir/policy/retry"
	"github.com/weir-mesh/weir/sharedstate"
)

// held is the streams whose answers are held back while the filter tries again, and what wakes them. Streams come and
// go: whoever wants one looks it up here by its id, and finds nobody where its client has left.
type held struct {
	streams map[uint32]*stream
	alarms  alarms
	calls   uint64 // made so far
	period  time.Duration
}

// hold keeps a stream's answer back until its next try.
func (p *plugin) hold(s *stream, now int64) {
	due, _ := s.exchange.Waits()
	p.held.streams[s.id] = s
	s.until = due + int64(grace)
	p.held.alarms.add(due, s.id)
	p.arm(now)
}

// grace is how much later than expected what a held stream waits for may come, before its first answer goes on.
const grace = 2 * time.Second

// arm has OnTick called when the next alarm is due. (Envoy arms a timer anew only where the period changes.)
func (p *plugin) arm(now int64) {
	period := p.held.alarms.until(now, p.ticks())
	period = max((period + time.Millisecond - 1).Truncate(time.Millisecond), time.Millisecond)
	if period == p.held.period {
		return
	}
	if err := host.Every(uint32(period.Milliseconds())); err != nil {
		p.faults.note(err.Error())
		return
	}
	p.held.period = period
}

// retry makes the tries that are due.
func (p *plugin) retry(now int64) {
	for {
		id, ok := p.held.alarms.next(now)
		if !ok {
			return
		}
		s := p.held.streams[id]
		if s == nil {
			continue
		}
		if due, waits := s.exchange.Waits(); waits && due <= now {
			p.goOn(s, func() flow.Step { return s.exchange.Again(s.fingerprint, now) })
		}
	}
}

// goOn carries out, from the plugin's context, what flow decides about a held stream. What goes wrong lets its first
// answer go on.
func (p *plugin) goOn(s *stream, decide func() flow.Step) {
	defer func() {
		if r := recover(); r != nil {
			p.faults.note(fmt.Sprint(r))
			s.exchange.Forget()
			p.letGo(s, flow.Step{})
		}
	}()
	now := host.Now()
	switch step := decide(); step.Kind {
	case flow.Wait:
		p.hold(s, now)
	case flow.Pause:
		s.until = now + p.bridge.patience()
		s.paused = now
		p.paused[s.id] = s
	case flow.Replay:
		p.replay(s, step.Call, now)
	default:
		p.letGo(s, step)
	}
}

// letGo ends the holding of a stream: it gets the answer that was decided, or its first one goes on.
func (p *plugin) letGo(s *stream, step flow.Step) {
	delete(p.held.streams, s.id)
	if err := host.Enter(s.id); err != nil {
		s.fault(err)
		return
	}
	if step.Kind == flow.SendReply && step.Reply.Upstreams && s.recording.IsHead() {
		s.answerHead(&step.Reply)
	} else if s.carryOut(host.ResponseHeaders, step) == host.Continue {
		s.resumeResponse()
	}
	s.recording.Drop()
	if err := host.Enter(p.id); err != nil {
		s.fault(err)
	}
}

// answerHead puts an answer to a HEAD in place of the first one, since a local reply would lose its content-length.
func (s *stream) answerHead(r *flow.Reply) {
	if err := host.ReplaceAll(host.ResponseHeaders, replay.InPlace(r.Status, r.Headers)); err != nil {
		s.fault(err)
	}
	s.resumeResponse()
}

func (s *stream) resumeResponse() {
	if err := host.ResumeResponse(); err != nil {
		s.fault(err)
	}
}

// replay sends a stream's request again.
func (p *plugin) replay(s *stream, call *flow.Call, now int64) {
	s.until = now + int64(call.Timeout+grace)
	p.held.calls++
	number := p.held.calls
	s.call = number
	headers, body := s.recording.Request()
	timeout := max(call.Timeout.Truncate(time.Millisecond), time.Millisecond)
	_, err := host.Dispatch(call.Cluster, headers, body, uint32(timeout.Milliseconds()), func(size int) {
		host.ReuseMemory()
		defer p.rescue()
		if p.held.streams[s.id] == s && s.call == number { // else its client has left
			p.replayed(s, size, now, timeout)
		}
	})
	if err != nil { // Envoy has no such cluster, no healthy host in it, or too many requests to it
		s.ended(&flow.Attempt{Status: 503, Details: replay.NotSent, Unfit: true}, now)
	}
}

// replayed reads what a try, sent at a time, came to.
func (p *plugin) replayed(s *stream, size int, sent int64, timeout time.Duration) {
	now := host.Now()
	headers, err := host.All(host.CallHeaders)
	if err != nil {
		headers = nil // there is no answer
	}
	var body []byte
	if size > 0 && len(headers) > 0 {
		if body, err = host.Bytes(host.CallBody, 0, min(size, replay.MaxAnswer)); err != nil {
			headers, body = nil, nil
			s.fault(err)
		}
	}
	a := p.vm.recorder.Answer(&replay.Ended{
		Headers: headers, Body: body, BodySize: size, Took: time.Duration(now - sent), Timeout: timeout,
	})
	asked, _ := retry.ParseRetryAfter(a.RetryAfter, host.Wall()) // what says nothing asks for nothing
	s.ended(&flow.Attempt{
		Details: a.Details, Status: a.Status, RetryAfter: asked, Headers: a.Headers, Body: a.Body, Unfit: a.Reason != replay.None,
	}, now)
	if s.exchange.Keeps() {
		s.exchange.Keep(headers, len(body) == 0, now, host.Wall())
		s.exchange.Body(body)
		s.exchange.End(-1, now)
	}
}

// ended goes on with a stream whose try came to this.
func (s *stream) ended(a *flow.Attempt, now int64) {
	s.plugin.goOn(s, func() flow.Step { return s.exchange.Replayed(a, now) })
}

// fingerprint hashes the recorded request for a limit by key of another cluster.
func (s *stream) fingerprint(plan *flow.Plan) sharedstate.Fingerprint {
	return plan.Fingerprint(s.recording.Headers(), s.clientIP(plan))
}

// expire lets the first answers go on whose streams have waited for too long. There are none, unless the filter itself
// went wrong.
func (p *plugin) expire(now int64) {
	for _, s := range p.held.streams {
		if now > s.until {
			s.fault(errOverdue)
			s.exchange.Abandon(now)
			p.letGo(s, flow.Step{})
		}
	}
}

var errOverdue = errors.New("a request waited for its next try and was forgotten")
