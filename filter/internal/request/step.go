package request

import (
	"time"

	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/policy/header"
)

// Step is what the stream's owner does next. The zero Step is Continue.
type Step struct {
	Kind  Kind
	Set   []header.Pair     // Continue, Failover: headers to set on the message that goes on, request or response
	Reply *localreply.Reply // SendReply
	Send  *Send             // SendAttempt
	To    *Cluster          // Failover
}

// Kind is the closed set of steps.
type Kind uint8

// The kinds of steps.
const (
	Continue     Kind = iota // let the message go on
	SendReply                // send a local reply; the stream pauses
	PauseRequest             // hold the request back until Resumer.Resume
	HoldResponse             // hold the response back until Due
	SendAttempt              // send the recorded request again; AttemptEnded tells how that went
	Failover                 // set the headers and Begin again, with another cluster
)

// Send is an attempt that the filter makes itself: where it goes, and how long it may take.
type Send struct {
	Cluster string
	Timeout time.Duration // at least 1 ms
}

// AttemptResult is how an attempt of the filter's ended.
type AttemptResult struct {
	Details    string        // as response.code_details; "" where upstream had no part in it
	Status     int           // of the response, also of one that Envoy made in upstream's place
	RetryAfter time.Duration // that upstream asked for, 0: none
	Headers    []header.Pair // of the response, as a local reply can have them
	Body       []byte        // headers and body last as long as the callback
	Unfit      bool          // the client can't have it: the attempt counts, and an earlier response stands
}

// Resumer owns the streams.
type Resumer interface {
	// Resume goes on with a stream whose step was PauseRequest.
	Resume(stream uint32, step Step)
}
