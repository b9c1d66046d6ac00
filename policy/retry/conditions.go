package retry

import (
	"slices"

	"github.com/weir-mesh/weir/policy/statuses"
)

// Conditions says what is retried.
type Conditions struct {
	On      On
	Methods []string // the request methods that may be retried; methods are case-sensitive
}

// On is a set of outcomes. It has the fields of policy.Failures, so that one converts to the other.
type On struct {
	Statuses       statuses.Set
	GRPC           [17]bool // by gRPC code
	Reset          bool
	ConnectFailure bool
	Timeout        bool
}

// Event is how an attempt ended.
type Event uint8

// The ends of an attempt.
const (
	Other          Event = iota // not caused by upstream: the client left, or this proxy answered or refused
	Answered                    // upstream responded, see Status and GRPC
	Reset                       // upstream reset the stream
	ConnectFailure              // no connection could be made
	Timeout                     // upstream did not respond in time
)

// Outcome is the result of an attempt.
type Outcome struct {
	Event  Event
	Status int // of a response
	GRPC   int // the gRPC status of a gRPC response, else -1
}

// Method reports whether requests of this method may be retried.
func (c *Conditions) Method(method string) bool { return slices.Contains(c.Methods, method) }

// Retryable reports whether an attempt with this outcome is retried. The caller checks that it still can be: that no
// byte of the response went to the client, and that the request's body is available.
func (c *Conditions) Retryable(o Outcome) bool {
	on := &c.On
	switch o.Event {
	case Answered:
		return on.Statuses.Has(o.Status) ||
			o.GRPC >= 0 && o.GRPC < len(on.GRPC) && on.GRPC[o.GRPC]
	case Reset:
		return on.Reset
	case ConnectFailure:
		return on.ConnectFailure
	case Timeout:
		return on.Timeout
	default:
		return false
	}
}
