package ratelimit

import (
	"time"

	"github.com/weir-mesh/weir/policy/fixedpoint"
	"github.com/weir-mesh/weir/policy/packed"
)

// AdaptiveConfig says how an adaptive limit moves. Its current limit starts at the configured limit and stays between a
// tenth of that (rounded up, at least 1) and that. Factors have a precision of a millionth, the current limit of a
// thousandth of a request; the enforced limit is rounded down to whole requests.
//
// The limit is evaluated at the first outcome after Interval and MinSamples outcomes, both counted from the last
// evaluation (or the first outcome): if there are too few outcomes at the end of the interval, counting goes on until
// there are enough. After an evaluation counting starts again.
//
// A limit without a request or an outcome for as long as it takes to recover from the lowest to the highest limit (and
// a window, at most a day in all) is reset to a fresh one.
type AdaptiveConfig struct {
	Threshold  float64       // success rate, 0 to 1: below it the current limit is multiplied by Backoff, else by Recovery
	Backoff    float64       // 0 to 1
	Recovery   float64       // 1 to 100
	Interval   time.Duration // at least 1 ns
	MinSamples int           // at least 1
}

const oneDay = int64(24 * time.Hour)

// adaptive is a compiled AdaptiveConfig. It works on the adaptive part of a window's state.
type adaptive struct {
	lowest, highest              int64 // milli-requests
	threshold, backoff, recovery int64 // millionths
	interval, samples            int64
	window, forget               int64 // ns
}

func newAdaptive(limit, window int64, c AdaptiveConfig) *adaptive {
	a := &adaptive{
		lowest:    max(ceilDiv(limit, 10), 1) * fixedpoint.Milli,
		highest:   limit * fixedpoint.Milli,
		threshold: fixedpoint.Millionths(c.Threshold, 0, 1),
		backoff:   fixedpoint.Millionths(c.Backoff, 0, 1),
		recovery:  max(fixedpoint.Millionths(c.Recovery, 1, 100), fixedpoint.Micro+1),
		interval:  min(max(int64(c.Interval), 1), maxWindow),
		samples:   int64(min(max(c.MinSamples, 1), 1<<30)),
		window:    window,
	}
	steps := fixedpoint.Steps(float64(a.highest)/float64(a.lowest), float64(a.recovery)/fixedpoint.Micro)
	a.forget = window + ceilDiv(window, 64) + 64 // until a sub-window no longer counts
	a.forget += int64(min(steps*float64(a.interval), float64(max(oneDay-a.forget, 0))))
	return a
}

func (a *adaptive) reset(state []byte) {
	clear(state[atCurrent:adaptiveFixed])
	packed.PutI64(state, atCurrent, a.highest)
}

func (a *adaptive) usable(state []byte) bool {
	current, since, latest := packed.I64(state, atCurrent), packed.I64(state, atSince), packed.I64(state, atLastOutcome)
	return current >= a.lowest && current <= a.highest &&
		since >= 0 && since <= longest && latest >= 0 && latest <= longest &&
		packed.U32(state, atSuccesses) <= packed.U32(state, atOutcomes) &&
		packed.U32(state, atRatio) <= fixedpoint.Micro+1 && packed.U32(state, atRatio+4) == 0
}

// limitAt is the limit in whole requests at t.
func (a *adaptive) limitAt(state []byte, t int64) int64 {
	if a.forgotten(state, t) {
		return a.highest / fixedpoint.Milli
	}
	return packed.I64(state, atCurrent) / fixedpoint.Milli
}

// forgotten reports whether the last request and outcome are so long ago that the current limit no longer applies.
func (a *adaptive) forgotten(state []byte, t int64) bool {
	latest, outcome := packed.I64(state, atLast), packed.I64(state, atLastOutcome)
	if outcome-t <= a.window { // else it is not of this clock
		latest = max(latest, outcome)
	}
	return t-latest >= a.forget
}

// fresh reports whether the state is, at t, no different from a fresh one.
func (a *adaptive) fresh(state []byte, t int64) bool {
	return a.forgotten(state, t) ||
		(packed.I64(state, atSince) == 0 && packed.U32(state, atOutcomes) == 0 && packed.I64(state, atCurrent) == a.highest)
}

// Outcome records how an admitted request ended. It reports whether the state changed, which it does only if the limit
// is adaptive.
func (l *Limiter) Outcome(state []byte, success bool, now int64) (changed bool) {
	if l.adaptive == nil {
		return false
	}
	l.adaptive.outcome(state, success, clampTime(now))
	l.seal(state)
	return true
}

func (a *adaptive) outcome(state []byte, success bool, now int64) {
	if a.forgotten(state, now) {
		a.reset(state)
	}
	since, latest := packed.I64(state, atSince), packed.I64(state, atLastOutcome)
	if since == 0 || since-now > a.interval {
		since = now
	}
	if latest < now || latest-now > a.window {
		latest = now
	}
	outcomes, successes := packed.U32(state, atOutcomes)+1, packed.U32(state, atSuccesses)
	if success {
		successes++
	}
	if outcomes > 1<<31 { // make room for more, at the same rate
		outcomes, successes = outcomes/2, successes/2
	}
	if now-since >= a.interval && outcomes >= a.samples {
		a.evaluate(state, outcomes, successes)
		since, outcomes, successes = now, 0, 0
	}
	packed.PutI64(state, atSince, since)
	packed.PutI64(state, atLastOutcome, latest)
	packed.PutU32(state, atOutcomes, outcomes)
	packed.PutU32(state, atSuccesses, successes)
}

// learn counts an outcome for a limit whose factors are not known: it is evaluated at the next outcome of its own.
func (a *adaptive) learn(state []byte, success bool, now int64) {
	if packed.I64(state, atSince) == 0 {
		packed.PutI64(state, atSince, now)
	}
	if latest := packed.I64(state, atLastOutcome); latest < now || latest-now > a.window {
		packed.PutI64(state, atLastOutcome, now)
	}
	outcomes, successes := packed.U32(state, atOutcomes)+1, packed.U32(state, atSuccesses)
	if success {
		successes++
	}
	if outcomes > 1<<31 {
		outcomes, successes = outcomes/2, successes/2
	}
	packed.PutU32(state, atOutcomes, outcomes)
	packed.PutU32(state, atSuccesses, successes)
}

// evaluate moves the current limit. It rounds away from the old limit, so that the smallest step moves it.
func (a *adaptive) evaluate(state []byte, outcomes, successes int64) {
	current := packed.I64(state, atCurrent)
	if successes*fixedpoint.Micro < a.threshold*outcomes {
		current = fixedpoint.MulDiv(current, a.backoff, fixedpoint.Micro)
	} else {
		current = fixedpoint.MulDivUp(current, a.recovery, fixedpoint.Micro)
	}
	packed.PutI64(state, atCurrent, min(max(current, a.lowest), a.highest))
	packed.PutU32(state, atRatio, successes*fixedpoint.Micro/outcomes+1)
}

// SuccessRatio is the share of successes (0 to 1) at the last evaluation of an adaptive limit; before the first one, of
// the outcomes so far. It is not known before the first outcome, and never if the limit is not adaptive.
func (l *Limiter) SuccessRatio(state []byte) (ratio float64, known bool) {
	if l.adaptive == nil {
		return 0, false
	}
	if r := packed.U32(state, atRatio); r > 0 {
		return float64(r-1) / fixedpoint.Micro, true
	}
	outcomes := packed.U32(state, atOutcomes)
	if outcomes == 0 {
		return 0, false
	}
	return float64(packed.U32(state, atSuccesses)) / float64(outcomes), true
}
