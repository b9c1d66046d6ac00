package request

import (
	"time"

	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
)

// Observer hears what becomes of a cluster's requests. Each event is told once, whatever the number of workers.
type Observer interface {
	stage.Reporter
	// Decided tells what was decided about a request: fallback.None is admitted. In shadow nothing follows from it.
	Decided(reason fallback.Reason, shadow bool)
	// Explains reports whether Explain has a use for its text.
	Explains() bool
	// Explain tells why it was decided so.
	Explain(text string)
	// Responded tells where a response came from, and why if it is not upstream's own.
	Responded(source fallback.Source, reason fallback.Reason)
	// Transition tells that the breaker changed, and why.
	Transition(from, to breaker.Status, cause string)
	// Retried tells of a retry.
	Retried(r Retry)
	// Exhausted tells of a request whose last attempt failed as well.
	Exhausted()
	// FailedOver tells that a request goes to another cluster.
	FailedOver(to string)
}

// Retry is one retry of a request.
type Retry struct {
	Number, Of int           // from 1, and how many there may be
	Cluster    string        // where it goes
	ByRouter   bool          // Envoy's router made it, and does not tell its delay and cause
	Delay      time.Duration // how long it waited
	Cause      string        // how the attempt before it ended
}

// HostGauge shows whether Envoy had no healthy host to send a request to. All workers share it.
type HostGauge interface {
	NoHealthyHost(none bool)
	// HasNoHealthyHost reads what is shown: this worker's finding or another one's, whichever was the last.
	HasNoHealthyHost() bool
}
