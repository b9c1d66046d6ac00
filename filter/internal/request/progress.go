package request

import (
	"time"

	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
)

// progress is how far an attempt has come, by which time and blame are judged. Times are nanoseconds, 0: not yet.
//
//	sent ──────────► whole ─────────────► answered ────── second piece … last ──────►
//	     the client         upstream's time        the body, at the pace of the slower side
type progress struct {
	whole    int64         // upstream has the whole request
	answered int64         // the response's headers came
	last     int64         // the last piece of its body, of the second and later ones: the first comes with the headers
	passed   int64         // bytes of its body
	pieces   uint8         // of its body, up to 2
	accepted bool          // a stream that upstream has answered well: it may flow for days, or be silent
	upgraded bool          // an accepted upgrade or CONNECT
	paused   bool          // nothing came for pause, after leastBuffer bytes
	took     time.Duration // upstream's time to the headers; stage.Untimed where it is not judged
}

const (
	// leastBuffer is the smallest buffer between upstream and the client that is allowed for: Envoy stops reading from
	// upstream when more than per_connection_buffer_limit_bytes (1 MiB, at an edge 32 KiB) wait for the client. While
	// less of the body has passed, Envoy can't be waiting for the client.
	leastBuffer = 16 << 10
	// pause is how long nothing came when Envoy may have been waiting for the client, how long a request is sent before
	// a server's own limit on slow requests may end it, and after which a response that flows is accepted.
	pause = int64(time.Second)
)

// WantsWhole reports whether Whole is needed: upstream has not all of the request, and how it ends decides what a stage
// learns, whether a fallback takes its place, or whether it is tried again.
func (r *Request) WantsWhole() bool {
	return r.cluster != nil && r.progress.whole == 0 && r.cluster.judged
}

// Whole says that upstream has the whole request.
func (r *Request) Whole(now int64) { r.on(&event{kind: isWhole, now: now}) }

// phase is where the request is now, for an end of this kind.
func (r *Request) phase(kind outcome.Kind, now int64) outcome.Phase {
	p := &r.progress
	switch {
	case r.state == Backoff || r.state == Queued || r.state == Retrying:
		return outcome.Brief // Envoy's timers run since before the attempt
	case p.answered != 0:
		return p.afterHeaders(kind, now)
	case p.whole == 0 && now-r.sent < pause:
		return outcome.Begun
	case p.whole == 0:
		return outcome.Sending
	case now-p.whole < p.whole-r.sent:
		return outcome.Brief
	default:
		return outcome.Whole
	}
}

// afterHeaders is the phase after the response's headers. A body flows if it has been silent for less time than it
// flowed: 10 bytes each second, cut by a timer, do.
func (p *progress) afterHeaders(kind outcome.Kind, now int64) outcome.Phase {
	silent := now - max(p.last, p.answered)
	flows := p.last != 0 && silent < p.last-p.answered && kind != outcome.IdleTimer
	switch {
	case p.upgraded:
		return outcome.Upgraded
	case p.accepted:
		return outcome.Flowing
	case p.passed >= leastBuffer && (p.paused || silent >= pause):
		return outcome.Unread
	case p.passed >= leastBuffer, flows, p.whole == 0:
		return outcome.Flowing
	default:
		return outcome.Stalled
	}
}

// upstreamTime is how long upstream has had the whole request at time now, the response's headers: stage.Untimed where
// it had not, and for gRPC calls and event streams where the policy does not write `timeout`.
func (r *Request) upstreamTime(events bool, now int64) time.Duration {
	if r.progress.whole == 0 || (r.in.GRPC || r.in.Events || events) && !r.cluster.timeoutWritten {
		return stage.Untimed
	}
	return time.Duration(now - r.progress.whole)
}

// late reports whether upstream took longer than the policy's timeout.
func (c *Cluster) late(took time.Duration) bool { return c.timeout > 0 && int64(took) > c.timeout }

// WantsType reports whether Respond needs to know whether the response is an event stream: one that is not over may be
// accepted at once, and one that is slow is not judged by its time.
func (r *Request) WantsType(ended bool, now int64) bool {
	c := r.cluster
	if !ended && (r.in.Events || r.probes()) {
		return true
	}
	if c.timeoutWritten {
		return false
	}
	took := r.upstreamTime(false, now)
	return c.late(took) || c.breaker != nil && c.breaker.SlowCalls != nil && took > c.breaker.SlowCalls.SlowerThan
}

// probes reports whether the attempt is a probe of a half-open breaker, whose outcome is not known.
func (r *Request) probes() bool { return r.attempt.Held&stage.HeldProbe != 0 }

// upgrades reports whether a response turns the connection over to both sides.
func (r *Request) upgrades(status int) bool {
	return r.in.Upgrade && (status == 101 || r.in.Connect && status/100 == 2)
}

// isStream reports whether a good response is a stream, which may last for days: that upstream accepted it is the
// success.
func (r *Request) isStream(resp *Response) bool {
	switch {
	case r.progress.upgraded:
		return true
	default:
		return resp.Events && resp.Status/100 == 2
	}
}

// accept settles a stream that upstream has answered well, and that goes on. If it fails later, that is a failure of its
// own.
func (r *Request) accept(now int64) {
	r.progress.accepted = true
	s := r.settlement(breaker.Success, false)
	s.Accepted = true
	r.settle(s, now)
}

// DueToAccept is when Watch is to be called: a probe's response is accepted when it still flows a second after its
// headers, also where no piece of it comes then. 0: never.
func (r *Request) DueToAccept() int64 {
	if r.state != Responding || !r.probes() || r.progress.accepted {
		return 0
	}
	return r.progress.answered + pause
}

// Watch accepts a probe's response at the time of DueToAccept, if it flows.
func (r *Request) Watch(now int64) { r.on(&event{kind: isWatched, now: now}) }

func (r *Request) watched(now int64) {
	if r.probes() && r.progress.afterHeaders(outcome.WaitTimer, now) != outcome.Stalled {
		r.accept(now)
	}
}

// Passes counts a piece of the response's body that is not the last one, and reports whether Passed needs its time: a
// probe's of each, else of the second and later ones, so that a short response costs no reading of the clock.
func (r *Request) Passes(size int) bool {
	if r.state != Responding || !r.cluster.chain.Unsettled(&r.attempt) || !r.cluster.chain.Learns() {
		return false
	}
	p := &r.progress
	p.passed += int64(size)
	p.pieces = min(p.pieces+1, 2)
	return p.pieces == 2 || r.probes()
}

// Passed takes the time of a piece for which Passes wants it.
func (r *Request) Passed(now int64) { r.on(&event{kind: passes, now: now}) }

func (r *Request) piece(now int64) {
	p := &r.progress
	p.paused = p.paused || p.passed >= leastBuffer && now-max(p.last, p.answered) >= pause
	p.last = now
	if !p.accepted && r.ending.Outcome(&r.cluster.failures) == breaker.Success &&
		(r.in.GRPC || r.probes() && now-p.answered >= pause) {
		r.accept(now)
	}
}

// answeredWell reports whether a response that the client, or a timer, ended was still flowing a second after its
// headers: a success, although it has no end.
func (r *Request) answeredWell(now int64) bool {
	p := &r.progress
	return p.answered != 0 && r.ending.Event == outcome.None && !r.ending.Inner && now-p.answered >= pause &&
		(p.last-p.answered >= pause || p.passed >= leastBuffer)
}
