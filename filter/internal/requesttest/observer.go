// Package requesttest has helpers for tests of package request and the packages around it: a worker with one cluster,
// an observer that records events, and a proxy whose calls to Redis are made and answered when the test says so.
package requesttest

import (
	"fmt"
	"strings"

	"github.com/weir-mesh/weir/filter/internal/replay"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
)

// Observer implements request.Observer. It records one line for each event.
type Observer struct {
	Events      []string
	Explanation string   // of the last decision
	Keys        []string // that were refused
}

func (o *Observer) add(format string, args ...any) {
	o.Events = append(o.Events, fmt.Sprintf(format, args...))
}

// Decided implements request.Observer.
func (o *Observer) Decided(reason fallback.Reason, shadow bool) {
	if shadow {
		o.add("decided %v in shadow", reason)
	} else {
		o.add("decided %v", reason)
	}
}

// RefusedKey implements request.Observer.
func (o *Observer) RefusedKey(hash uint64, text string, _ int64) {
	o.Keys = append(o.Keys, fmt.Sprintf("%016x %s", hash, text))
}

// Explains implements request.Observer.
func (o *Observer) Explains() bool { return true }

// Explain implements request.Observer.
func (o *Observer) Explain(text string) { o.Explanation = text }

// Responded implements request.Observer.
func (o *Observer) Responded(source fallback.Source, _ fallback.Reason) {
	o.add("response from %v", source)
}

// NotKept implements request.Observer.
func (o *Observer) NotKept(why fallback.Obstacle) { o.add("not kept: %v", why) }

// NotUsed implements request.Observer.
func (o *Observer) NotUsed(why fallback.Obstacle) { o.add("no kept answer: %v", why) }

// Transition implements request.Observer.
func (o *Observer) Transition(from, to breaker.Status, cause string) {
	o.add("%v -> %v: %s", from, to, cause)
}

// Retried implements request.Observer.
func (o *Observer) Retried(r request.Retry) {
	if r.ByRouter {
		o.add("retry %d of %d by the router", r.Number, r.Of)
	} else {
		o.add("retry %d of %d to %s after %v: %s", r.Number, r.Of, r.Cluster, r.Delay, r.Cause)
	}
}

// Exhausted implements request.Observer.
func (o *Observer) Exhausted() { o.add("retries exhausted") }

// Uncarried implements request.Observer.
func (o *Observer) Uncarried(why replay.Reason) { o.add("uncarried: %s", why.Label()) }

// FailedOver implements request.Observer.
func (o *Observer) FailedOver(to string) { o.add("failed over to %s", to) }

// Conflicts implements stage.Reporter.
func (o *Observer) Conflicts(n int) {
	if n > 0 {
		o.add("%d conflicts", n)
	}
}

// Fault implements stage.Reporter.
func (o *Observer) Fault(err error) { o.add("fault: %v", err) }

// Transitions are the recorded events of the breaker.
func (o *Observer) Transitions() []string { return o.Matching(" -> ") }

// Matching are the recorded events that contain this text.
func (o *Observer) Matching(text string) (events []string) {
	for _, e := range o.Events {
		if strings.Contains(e, text) {
			events = append(events, e)
		}
	}
	return events
}

// Discard implements request.Observer. It records nothing, and allocates nothing.
type Discard struct{}

// Decided implements request.Observer.
func (Discard) Decided(fallback.Reason, bool) {}

// RefusedKey implements request.Observer.
func (Discard) RefusedKey(uint64, string, int64) {}

// Explains implements request.Observer.
func (Discard) Explains() bool { return false }

// Explain implements request.Observer.
func (Discard) Explain(string) {}

// Responded implements request.Observer.
func (Discard) Responded(fallback.Source, fallback.Reason) {}

// NotKept implements request.Observer.
func (Discard) NotKept(fallback.Obstacle) {}

// NotUsed implements request.Observer.
func (Discard) NotUsed(fallback.Obstacle) {}

// Transition implements request.Observer.
func (Discard) Transition(breaker.Status, breaker.Status, string) {}

// Retried implements request.Observer.
func (Discard) Retried(request.Retry) {}

// Exhausted implements request.Observer.
func (Discard) Exhausted() {}

// Uncarried implements request.Observer.
func (Discard) Uncarried(replay.Reason) {}

// FailedOver implements request.Observer.
func (Discard) FailedOver(string) {}

// Conflicts implements stage.Reporter.
func (Discard) Conflicts(int) {}

// Fault implements stage.Reporter.
func (Discard) Fault(error) {}
