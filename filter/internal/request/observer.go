package request

import (
	"time"

	"github.com/weir-mesh/weir/filter/internal/replay"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
)

// Observer is notified of the decisions and responses of a cluster's requests: of each once, whatever the number of
// workers.
type Observer interface {
	stage.Reporter
	// Decided reports the decision about a request: fallback.None is admitted. In shadow it is not enforced.
	Decided(reason fallback.Reason, shadow bool)
	// RefusedKey reports the key of a request that a limit by key refused, or would refuse in shadow: its hash, and what may be
	// shown of it.
	RefusedKey(hash uint64, text string, now int64)
	// Explains reports whether Explain is to be called.
	Explains() bool
	// Explain takes the reason for the last decision.
	Explain(text string)
	// Responded reports where a response came from, and why if it is not upstream's own.
	Responded(source fallback.Source, reason fallback.Reason)
	// NotKept reports a response of upstream's that the cache did not keep.
	NotKept(why fallback.Obstacle)
	// NotUsed reports a request for which the cache was asked and had nothing.
	NotUsed(why fallback.Obstacle)
	// Transition reports that the breaker changed, and why.
	Transition(from, to breaker.Status, cause string)
	// Retried reports a retry.
	Retried(r Retry)
	// Exhausted reports a request whose last attempt failed too.
	Exhausted()
	// Uncarried reports an attempt that the filter could not make, or whose response it could not send to the client.
	Uncarried(why replay.Reason)
	// FailedOver reports that a request goes to another cluster.
	FailedOver(to string)
}

// Retry is one retry of a request.
type Retry struct {
	Number, Of int           // from 1, and how many there may be
	Cluster    string        // where it goes
	ByRouter   bool          // Envoy's router made it; its delay and cause are not known
	Delay      time.Duration // how long it waited
	Cause      string        // how the attempt before it ended
}

// HostGauge shows whether Envoy had no healthy host to send a request to. All workers share it.
type HostGauge interface {
	NoHealthyHost(none bool)
	// HasNoHealthyHost reads what is shown: what this worker or another one set last.
	HasNoHealthyHost() bool
}
