package ratelimit

import (
	"math"
	"time"
)

// AdaptiveConfig says how an adaptive limit moves. Its current limit stays between a tenth of the configured one (rounded
// up, at least 1) and the configured one, where it starts. Factors count to a millionth, the current limit to a
// thousandth of a request; what is enforced is that rounded down.
//
// An evaluation comes with the first outcome after Interval and MinSamples outcomes, both since the last evaluation (or
// the first outcome): where there are too few outcomes at the interval's end, counting goes on until there are enough.
// After it counting starts anew.
//
// A limit that saw neither request nor outcome for as long as it takes to recover from the lowest to the highest limit
// (and a window, at most a day in all) forgets what it learnt and is a fresh one.
type AdaptiveConfig struct {
	Threshold  float64       // success rate, 0 to 1: below it the current limit is multiplied by Backoff, else by Recovery
	Backoff    float64       // 0 to 1
	Recovery   float64       // 1 to 100
	Interval   time.Duration // at least 1 ns
	MinSamples int           // at least 1
}

const (
	milli  = 1_000
	micro  = 1_000_000
	oneDay = int64(24 * time.Hour)
)

// adaptive is a compiled AdaptiveConfig. It works on the adaptive part of a window's state.
type adaptive struct {
	lowest, highest              int64 // milli-requests
	threshold, backoff, recovery int64 // millionths
	interval, samples            int64
	window, forget               int64 // ns
}

func newAdaptive(limit, window int64, c AdaptiveConfig) *adaptive {
	a := &adaptive{
		lowest:    max(ceilDiv(limit, 10), 1) * milli,
		highest:   limit * milli,
		threshold: millionths(c.Threshold, 0, 1),
		backoff:   millionths(c.Backoff, 0, 1),
		recovery:  max(millionths(c.Recovery, 1, 100), micro+1),
		interval:  min(max(int64(c.Interval), 1), maxWindow),
		samples:   int64(min(max(c.MinSamples, 1), 1<<30)),
		window:    window,
	}
	steps := math.Ceil(math.Log(float64(a.highest)/float64(a.lowest)) / math.Log(float64(a.recovery)/micro))
	a.forget = window + ceilDiv(window, 64) + 64 // until a sub-window counts no more
	a.forget += int64(min(steps*float64(a.interval), float64(max(oneDay-a.forget, 0))))
	return a
}

func millionths(f, low, high float64) int64 {
	return int64(math.Round(min(max(f, low), high) * micro))
}

func (a *adaptive) reset(state []byte) {
	clear(state[atCurrent:adaptiveFixed])
	putI64(state, atCurrent, a.highest)
}

func (a *adaptive) usable(state []byte) bool {
	current, since, heard := getI64(state, atCurrent), getI64(state, atSince), getI64(state, atHeard)
	return current >= a.lowest && current <= a.highest &&
		since >= 0 && since <= longest && heard >= 0 && heard <= longest &&
		getU32(state, atSuccesses) <= getU32(state, atOutcomes) &&
		getU32(state, atRatio) <= micro+1 && getU32(state, atRatio+4) == 0
}

// holds is the limit in whole requests at t.
func (a *adaptive) holds(state []byte, t int64) int64 {
	if a.forgotten(state, t) {
		return a.highest / milli
	}
	return getI64(state, atCurrent) / milli
}

// forgotten says whether it was quiet for so long that what was learnt holds no more.
func (a *adaptive) forgotten(state []byte, t int64) bool {
	latest, heard := getI64(state, atLast), getI64(state, atHeard)
	if heard-t <= a.window { // else it is not of this clock
		latest = max(latest, heard)
	}
	return t-latest >= a.forget
}

// fresh says whether nothing was learnt that still holds.
func (a *adaptive) fresh(state []byte, t int64) bool {
	return a.forgotten(state, t) ||
		(getI64(state, atSince) == 0 && getU32(state, atOutcomes) == 0 && getI64(state, atCurrent) == a.highest)
}

// Outcome tells an adaptive limit how an admitted request ended. It says whether the state changed, which it did not
// where the limit is not adaptive.
func (l *Limiter) Outcome(state []byte, success bool, now int64) (changed bool) {
	if l.adaptive == nil {
		return false
	}
	l.adaptive.outcome(state, success, heldTime(now))
	l.seal(state)
	return true
}

func (a *adaptive) outcome(state []byte, success bool, now int64) {
	if a.forgotten(state, now) {
		a.reset(state)
	}
	since, heard := getI64(state, atSince), getI64(state, atHeard)
	if since == 0 || since-now > a.interval {
		since = now
	}
	if heard < now || heard-now > a.window {
		heard = now
	}
	outcomes, successes := getU32(state, atOutcomes)+1, getU32(state, atSuccesses)
	if success {
		successes++
	}
	if outcomes > 1<<31 { // room for more, at the same rate
		outcomes, successes = outcomes/2, successes/2
	}
	if now-since >= a.interval && outcomes >= a.samples {
		a.evaluate(state, outcomes, successes)
		since, outcomes, successes = now, 0, 0
	}
	putI64(state, atSince, since)
	putI64(state, atHeard, heard)
	putU32(state, atOutcomes, outcomes)
	putU32(state, atSuccesses, successes)
}

// evaluate moves the current limit: down rounded down, up rounded up, so that it moves however small a step is.
func (a *adaptive) evaluate(state []byte, outcomes, successes int64) {
	current := getI64(state, atCurrent)
	if successes*micro < a.threshold*outcomes {
		current = share(current, a.backoff, micro, false)
	} else {
		current = share(current, a.recovery, micro, true)
	}
	putI64(state, atCurrent, min(max(current, a.lowest), a.highest))
	putU32(state, atRatio, successes*micro/outcomes+1)
}

// SuccessRatio is the share of successes (0 to 1) that an adaptive limit was last evaluated by; before the first
// evaluation, of the outcomes so far. It is not known before the first outcome, nor where the limit is not adaptive.
func (l *Limiter) SuccessRatio(state []byte) (ratio float64, known bool) {
	if l.adaptive == nil {
		return 0, false
	}
	if r := getU32(state, atRatio); r > 0 {
		return float64(r-1) / micro, true
	}
	outcomes := getU32(state, atOutcomes)
	if outcomes == 0 {
		return 0, false
	}
	return float64(getU32(state, atSuccesses)) / float64(outcomes), true
}
