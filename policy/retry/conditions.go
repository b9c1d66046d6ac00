package retry

import "slices"

// Conditions says what is tried again.
type Conditions struct {
	On      On
	Methods []string // the request methods that may be, as they are written: methods are case-sensitive
}

// On is a set of outcomes. Its fields are those of policy.Failures, so that the one converts to the other.
type On struct {
	Statuses       [600]bool // by status code
	GRPC           [17]bool  // by gRPC code
	Reset          bool
	ConnectFailure bool
	Timeout        bool
}

// Event is how an attempt ended.
type Event uint8

// How an attempt ends.
const (
	Other          Event = iota // upstream had no part in it: the client left, this proxy answered, its own limits
	Answered                    // upstream did, its status tells
	Reset                       // upstream broke off
	ConnectFailure              // there was no connection
	Timeout                     // upstream took too long
)

// Outcome is what an attempt came to.
type Outcome struct {
	Event  Event
	Status int // of an answer
	GRPC   int // the gRPC status of a gRPC answer, else -1
}

// Method says whether requests of this method may be tried again.
func (c *Conditions) Method(method string) bool { return slices.Contains(c.Methods, method) }

// Retryable says whether an attempt that ended so is tried again. The caller knows whether it still can be: that no byte
// of the answer went to the client, and that the request's body is at hand.
func (c *Conditions) Retryable(o Outcome) bool {
	on := &c.On
	switch o.Event {
	case Answered:
		return o.Status >= 0 && o.Status < len(on.Statuses) && on.Statuses[o.Status] ||
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
