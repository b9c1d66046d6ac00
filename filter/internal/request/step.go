package request

import (
	"time"

	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/filter/internal/replay"
	"github.com/weir-mesh/weir/policy/header"
)

// Step is what the stream's owner does next. The zero Step is Continue.
type Step struct {
	Kind  Kind
	Set   []header.Pair     // Continue, Failover: headers to set on the message that passes, request or response
	Reply *localreply.Reply // SendReply
	Send  *Send             // SendAttempt
	To    *Cluster          // Failover
}

// Kind is the closed set of steps.
type Kind uint8

// The kinds of steps.
const (
	Continue     Kind = iota // let the message pass
	SendReply                // send a local reply; the stream pauses
	PauseRequest             // hold the request back until Resumer.Resume
	HoldResponse             // hold the response back until Due
	SendAttempt              // send the recorded request again, then call AttemptEnded
	Failover                 // set the headers and Begin again, with another cluster
)

// Send describes an attempt that the filter makes itself.
type Send struct {
	Cluster string        // that admitted it
	Via     string        // the cluster that leads to the internal listener with the routes
	Set     []header.Pair // headers by which those routes lead to Cluster
	Timeout time.Duration // at least 1 ms
}

// AttemptResult is the result of an attempt that the filter made.
type AttemptResult struct {
	Details    string        // as response.code_details would be
	Status     int           // of the response, also of one that Envoy made because upstream failed
	RetryAfter time.Duration // that upstream asked for, 0: none
	Headers    []header.Pair // of the response, those that a local reply can have
	Body       []byte        // headers and body are valid until the callback returns
	Inner      []header.Pair // the x-weir headers of another Weir that has answered in place of its upstream; none: it did not
	// Reason is why Weir could not make the attempt, or can't send its response to the client: an earlier response is used.
	// That is nobody's failure, unless the response's status is one. With replay.InvalidStatus the attempt counts.
	Reason replay.Reason
}

// unfit reports whether the response can't be sent to the client, though it was read to its end.
func (a *AttemptResult) unfit() bool { return a.Reason == replay.InvalidStatus }

// uncarried reports whether the attempt was not made, or its response not read to the end.
func (a *AttemptResult) uncarried() bool { return a.Reason != replay.None && !a.unfit() }

// Resumer owns the streams.
type Resumer interface {
	// Resume carries out a step for a stream whose last one was PauseRequest.
	Resume(stream uint32, step Step)
}
