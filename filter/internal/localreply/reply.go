// Package localreply makes Weir's local replies: refusals, default data, degraded mode, and kept responses, with the
// headers that docs/answers.md lists.
//
//	refusal, no fallback            429 or 503, application/problem+json, x-weir-reason, retry-after
//	default data, degraded mode     as the policy says, x-weir-source, x-weir-fallback-used
//	a kept response                 its own status, headers and body, age, cache-status
//
// What does not depend on the request is made once for each cluster.
package localreply

import (
	"strconv"
	"time"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/policy/ratelimit"
)

// Reply is a local reply.
type Reply struct {
	Status       int
	Headers      []header.Pair
	Body         []byte
	GRPC         int    // the gRPC status for a gRPC request (Body is then the grpc-message), else NoGRPC
	FromUpstream bool   // it is upstream's response to a retry
	Details      string // for %RESPONSE_CODE_DETAILS%
}

// ContentType is the reply's content-type, "" where it has none.
func (r *Reply) ContentType() string {
	for _, h := range r.Headers {
		if h[0] == "content-type" {
			return h[1]
		}
	}
	return ""
}

// ChangesType reports whether Envoy would send the reply with another content-type than it has: a local reply without a
// body loses its own (the answer to a HEAD that was kept), one with a body and without a content-type gets text/plain.
func (r *Reply) ChangesType() bool {
	return r.GRPC == NoGRPC && (r.ContentType() == "") == (len(r.Body) > 0)
}

// NoGRPC stands for no gRPC status.
const NoGRPC = -1

// The gRPC statuses of refusals (grpc/grpc doc/statuscodes.md).
const (
	grpcResourceExhausted = 8
	grpcUnavailable       = 14
)

// Replies are the parts of a cluster's local replies that do not depend on the request. They do not change.
type Replies struct {
	refusals       [fallback.UpstreamFailure + 1]refusal
	degradedStatus int  // degraded.status
	keepsStatus    bool // it is not written: upstream's own 5xx stays
	limitHeaders   policy.HeadersMode
	limit          limitTexts
}

// refusal is the parts of the replies for one reason. Only the seconds to wait depend on the request.
type refusal struct {
	title    string
	status   int
	grpc     int
	error    problem // the fallback chain does not apply to the reason
	empty    problem // the fallback chain applies, and no fallback has an answer
	degraded problem
}

// New makes the replies of a cluster with this policy. The limiter is that of its rate limit, nil if it has none.
func New(cluster string, p *policy.Policy, limiter *ratelimit.Limiter) *Replies {
	r := &Replies{}
	var limitations []string
	if f := p.Fallback; f != nil {
		limitations = f.Limitations
		r.degradedStatus, r.keepsStatus = f.DegradedStatus, !f.DegradedWritten
	}
	for _, x := range []struct {
		reason fallback.Reason
		title  string
		status int
		grpc   int
		text   string
	}{
		{fallback.RateLimited, "RateLimitExceeded", 429, grpcResourceExhausted, "rate limit exceeded for " + cluster},
		{fallback.CircuitOpen, "CircuitBreakerError", 503, grpcUnavailable, "circuit breaker is open for " + cluster},
		{fallback.BulkheadFull, "BulkheadFull", 503, grpcUnavailable, "too many concurrent requests to " + cluster},
		{fallback.UpstreamFailure, "UpstreamFailure", 503, grpcUnavailable, cluster + " failed"},
	} {
		r.refusals[x.reason] = refusal{
			title: x.title, status: x.status, grpc: x.grpc,
			error:    newProblem(x.title, x.text, fallback.FromError, nil),
			empty:    newProblem(x.title, x.text, fallback.FromError, []string{"FallbackError: no fallback had an answer"}),
			degraded: newProblem(x.title, x.text, fallback.FromDegraded, limitations),
		}
	}
	if limiter != nil {
		r.limitHeaders = p.RateLimit.Headers
		r.limit = newLimitTexts(cluster, limiter)
	}
	return r
}

// Request is what a reply depends on.
type Request struct {
	Reason   fallback.Reason    // why the client does not get upstream's response
	GRPC     bool               // the client speaks gRPC
	Protocol Protocol           // or another protocol of remote calls
	Wait     time.Duration      // until a request may be admitted; 0: not known
	Limit    *ratelimit.Verdict // of the rate limit
	// ErrorOnly: the client must not take the reply for a success. Its method is not in fallback.methods.
	ErrorOnly bool
	Upstream  int                 // the status of upstream's failure, 0 where it did not answer
	Forwarded int                 // the same, or that of Envoy's answer in its place; 0: the request was not forwarded
	Default   *policy.DefaultData // for that source
}

// Make is the reply from a source other than the cache. Consulted: the fallback chain applies to the reason, so
// FromError means that no fallback has an answer.
func (rs *Replies) Make(r *Request, source fallback.Source, consulted bool) *Reply {
	refused := &rs.refusals[r.Reason]
	wait := int64(0)
	if r.Wait > 0 {
		wait = seconds(r.Wait)
	}
	headers := make([]header.Pair, 0, 12)
	reply := &Reply{GRPC: NoGRPC, Details: details(r.Reason)}
	problemJSON := header.Pair{"content-type", "application/problem+json"}
	switch {
	case source == fallback.FromDefault:
		headers = appendOthers(headers, r.Default.Headers, "cache-control")
		reply.Status, reply.Body = r.Default.Status, r.Default.Body
	case source == fallback.FromDegraded:
		headers = append(headers, problemJSON)
		reply.Status = rs.degradedStatusFor(r)
		reply.Body = refused.degraded.with(reply.Status, wait)
	case r.GRPC:
		reply.Status, reply.GRPC, reply.Body = refused.status, refused.grpc, []byte(refused.title)
	case r.Protocol != PlainHTTP:
		headers = refused.refuse(r.Protocol, reply, headers)
	case consulted:
		headers = append(headers, problemJSON)
		reply.Status, reply.Body = refused.status, refused.empty.with(refused.status, wait)
	default:
		headers = append(headers, problemJSON)
		reply.Status, reply.Body = refused.status, refused.error.with(refused.status, wait)
	}
	headers = append(headers, header.Pair{"cache-control", "no-store"},
		header.Pair{header.Source, source.String()}, header.Pair{header.Reason, r.Reason.String()})
	if source != fallback.FromError {
		headers = append(headers, header.Pair{header.FallbackUsed, "true"})
	}
	if source == fallback.FromDegraded {
		headers = append(headers, header.Pair{header.DegradedMode, "true"})
	}
	if wait > 0 && source != fallback.FromDefault {
		headers = append(headers, header.Pair{"retry-after", strconv.FormatInt(wait, 10)})
	}
	if r.Reason == fallback.RateLimited && source == fallback.FromError {
		headers = append(headers, header.Pair{"x-envoy-ratelimited", "true"})
	}
	reply.Headers = rs.appendLimit(headers, r)
	return reply
}

// degradedStatusFor is the status of degraded mode. Upstream's own 5xx stays unless degraded.status is written; one that
// looks like a success gives way to the error's where only an error may be sent.
func (rs *Replies) degradedStatusFor(r *Request) int {
	own := rs.refusals[r.Reason].status
	if r.Upstream >= 400 {
		own = r.Upstream
	}
	if rs.keepsStatus && r.Upstream >= 500 || r.ErrorOnly && rs.degradedStatus < 400 {
		return own
	}
	return rs.degradedStatus
}

// appendOthers appends the headers whose name is not this one.
func appendOthers(headers, more []header.Pair, name string) []header.Pair {
	for _, h := range more {
		if h[0] != name {
			headers = append(headers, h)
		}
	}
	return headers
}

// details is what the access log shows as %RESPONSE_CODE_DETAILS%.
func details(reason fallback.Reason) string { return "weir_" + reason.String() }
