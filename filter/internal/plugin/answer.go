package plugin

import (
	"time"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/policy/decimal"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/policy/retry"
)

// answer is what the headers of a response say. They are read in one pass: all of them cost what one costs, or one attribute. The
// attribute response.code is what upstream sent: not what a filter in between made of it, as the gRPC-JSON transcoder makes a 503 of
// UNAVAILABLE.
type answer struct {
	status      int // 0: none
	retryAfter  string
	grpc        string // grpc-status
	contentType string
	own         bool // one of them begins with x-weir-
	timed       bool // one is x-envoy-upstream-service-time
	aged        bool // one is age
}

// readAnswer reads headers. The lengths come first because TinyGo compares a string with each case by a call.
func readAnswer(headers host.Headers) (a answer) {
	c := headers.Cursor()
	for c.Next() {
		switch len(c.Name) {
		case len("age"):
			a.aged = a.aged || c.Name == "age"
		case len(":status"):
			if c.Name == ":status" {
				a.status, _ = decimal.Int(c.Value)
			}
		case len("grpc-status"): // and of retry-after
			switch c.Name {
			case "grpc-status":
				a.grpc = c.Value
			case "retry-after":
				a.retryAfter = c.Value
			}
		case len("content-type"):
			if c.Name == "content-type" {
				a.contentType = c.Value
			}
		case len("x-envoy-upstream-service-time"):
			a.timed = a.timed || c.Name == "x-envoy-upstream-service-time"
		}
		a.own = a.own || header.IsOwn(c.Name)
	}
	return a
}

// isUpstreams reports whether the headers say that upstream made the response: the router sets x-envoy-upstream-service-time on
// each of upstream's, unless it is told not to (suppress_envoy_headers). One that has it and is no success may still be another
// filter's: ext_authz passes on all headers of the service that denied a request. One with an age may be of a cache behind Weir.
func (a *answer) isUpstreams() bool { return a.timed && !a.aged && a.status/100 == 2 }

// details is what made the response, as response.code_details tell: an attribute that costs some 8,000 instructions, and is
// read where the headers don't say it.
func (a *answer) details() (string, error) {
	if a.isUpstreams() {
		return outcome.DetailsUpstream, nil
	}
	details, err := host.Text(host.ResponseCodeDetails)
	if err == host.ErrNotFound {
		return "", nil
	}
	return details, err
}

// grpcStatus reads a grpc-status, outcome.NoGRPC if there is none.
func grpcStatus(text string) int {
	status, ok := decimal.Int(text)
	if !ok {
		return outcome.NoGRPC
	}
	return status
}

// wait is how long upstream asks to wait by its retry-after, 0 if it does not.
func wait(retryAfter string) time.Duration {
	if retryAfter == "" {
		return 0
	}
	d, _ := retry.ParseRetryAfter(retryAfter, host.Wall()) // 0 if it can't be read
	return d
}
