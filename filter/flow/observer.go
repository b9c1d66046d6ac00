package flow

import (
	"time"

	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
)

// Observer hears what a cluster's requests come to. Each event is told once, whatever the number of workers.
type Observer interface {
	// Decided tells what Begin decided: fallback.None is allowed. In shadow nothing follows from it.
	Decided(reason fallback.Reason, shadow bool)
	// Explains says whether Explain has a use for its text.
	Explains() bool
	// Explain tells why a request was decided about so.
	Explain(text string)
	// Answered tells where an answer came from, and what for where it is not upstream's own.
	Answered(source fallback.Source, reason fallback.Reason)
	// Transition tells that the breaker changed, and what for.
	Transition(from, to breaker.Status, cause string)
	// Retried tells of one more try.
	Retried(r Retry)
	// Exhausted tells of a request whose last try failed as well.
	Exhausted()
	// FailedOver tells that a request goes to another cluster.
	FailedOver(to string)
	// Conflicts tells how often another worker came between in one change.
	Conflicts(n int)
	// Fault tells of a failure of the filter itself: the request went through.
	Fault(err error)
}

// Retry is one more try of a request.
type Retry struct {
	Number, Of int           // from 1, and how many there may be
	Cluster    string        // where it goes
	ByRouter   bool          // Envoy's router made it, and keeps the rest to itself
	Delay      time.Duration // how long it waited
	Cause      string        // what became of the try before it
}
