package flow

// Step is what the stream's holder does next. The zero Step is Continue.
type Step struct {
	Kind  Kind
	Set   []Header // Continue, Failover: headers to set on the message that goes on, request or response
	Reply Reply    // Reply: the answer to give instead
	Call  *Call    // Replay: the try to send
	To    *Plan    // Failover: of the cluster that the request goes to
}

// Kind is the closed set of steps.
type Kind uint8

// The kinds of steps.
const (
	Continue  Kind = iota // let the message go on
	SendReply             // answer from here; the stream then pauses
	Pause                 // hold the request back: Bridge.Resume goes on with it
	Wait                  // hold the answer back until Waits
	Replay                // send the copy of the request; Replayed goes on
	Failover              // begin anew with another cluster's plan
)

// Header is a name, in lower case, and its value.
type Header = [2]string

// Reply is an answer that does not come from upstream.
type Reply struct {
	Status    int
	Headers   []Header
	Body      []byte
	GRPC      int    // the gRPC status where the request was gRPC (Body is then the message), else -1
	Upstreams bool   // it is upstream's, to a later try
	Details   string // for %RESPONSE_CODE_DETAILS%
}
