package flow

import (
	"encoding/json"
	"math"
	"strconv"
	"time"

	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/ratelimit"
)

// The headers of Weir's own.
const (
	HeaderSource       = "x-weir-source"
	HeaderReason       = "x-weir-reason"
	HeaderFallbackUsed = "x-weir-fallback-used"
	HeaderDegradedMode = "x-weir-degraded-mode"
	HeaderError        = "x-weir-error"
	// HeaderPrefix starts every header of Weir's own, on requests as on answers.
	HeaderPrefix = "x-weir-"
	// ShadowPrefix marks a reason for which a policy in shadow would have refused.
	ShadowPrefix = metric.ShadowPrefix
)

// problemBase starts the `type` of a problem (RFC 9457): the page that explains it.
const problemBase = "https://github.com/weir-mesh/weir#"

// The gRPC statuses of refusals (grpc/grpc doc/statuscodes.md).
const (
	grpcResourceExhausted = 8
	grpcUnavailable       = 14
)

// answers holds a cluster's own answers, as far as they are known before the request.
type answers struct {
	refusals [fallback.UpstreamFailure + 1]refusal

	defaultStatus  int
	defaultHeaders []Header
	defaultBody    []byte

	degradedStatus int

	failedUpstream []Header // on upstream's own failing answer, where no fallback had one
	failedLocally  []Header // the same on Envoy's answer in upstream's place

	shadow [fallback.UpstreamFailure + 1][]Header // on upstream's answers, by what the policy would have refused for

	policyHeader string // "aws_pricing";q=5;w=5
	limitPrefix  string // "aws_pricing";r=
	quota        string
}

// refusal is one reason's answers in pieces: only the seconds to wait are put in for a request.
type refusal struct {
	title    string
	status   int
	grpc     int
	error    problem
	noAnswer problem // the same where the chain was asked and had nothing
	degraded problem
}

// problem is a problem+json body up to where retry_after goes.
type problem []byte

// with closes the body. Seconds below 1 stand for "unknown", and the member is left out.
func (p problem) with(seconds int64) []byte {
	body := make([]byte, 0, len(p)+32)
	body = append(body, p...)
	if seconds > 0 {
		body = append(body, `,"retry_after":`...)
		body = strconv.AppendInt(body, seconds, 10)
	}
	return append(body, '}')
}

func newAnswers(cluster string, p *policy.Policy, limiter *ratelimit.Limiter) answers {
	a := answers{
		failedUpstream: []Header{{HeaderSource, fallback.FromUpstream.String()}, {HeaderReason, fallback.UpstreamFailure.String()}},
		failedLocally:  []Header{{HeaderSource, fallback.FromError.String()}, {HeaderReason, fallback.UpstreamFailure.String()}},
	}
	var limitations []string
	if f := p.Fallback; f != nil {
		limitations = f.Limitations
		a.degradedStatus = f.DegradedStatus
		if d := f.Default; d != nil {
			a.defaultStatus, a.defaultHeaders, a.defaultBody = d.Status, d.Headers, d.Body
		}
	}
	for _, r := range []struct {
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
		a.refusals[r.reason] = refusal{
			title: r.title, status: r.status, grpc: r.grpc,
			error:    newProblem(r.title, r.status, r.text, fallback.FromError, nil),
			noAnswer: newProblem(r.title, r.status, r.text, fallback.FromError, []string{"FallbackError: no fallback had an answer"}),
			degraded: newProblem(r.title, a.degradedStatus, r.text, fallback.FromDegraded, limitations),
		}
	}
	for reason := range a.shadow {
		a.shadow[reason] = []Header{{HeaderSource, fallback.FromUpstream.String()}, {HeaderReason, ShadowPrefix + fallback.Reason(reason).String()}}
	}
	if p.Mode == policy.ModeShadow {
		for _, set := range [][]Header{a.failedUpstream, a.failedLocally} {
			set[1][1] = ShadowPrefix + fallback.UpstreamFailure.String()
		}
	}
	if limiter != nil {
		name := quoted(cluster)
		quota, window := limiter.Quota()
		a.quota = strconv.FormatInt(quota, 10)
		a.policyHeader = name + ";q=" + a.quota + ";w=" + strconv.FormatInt(seconds(window), 10)
		a.limitPrefix = name + ";r="
	}
	return a
}

// newProblem packs the members of the seed's error format as problem details (RFC 9457), retry_after and the closing
// brace left out.
func newProblem(title string, status int, text string, source fallback.Source, warnings []string) problem {
	if warnings == nil {
		warnings = []string{}
	}
	degraded := source == fallback.FromDegraded
	body, err := json.Marshal(struct {
		Type         string   `json:"type"`
		Title        string   `json:"title"`
		Status       int      `json:"status"`
		Detail       string   `json:"detail"`
		Data         *string  `json:"data"`
		Source       string   `json:"source"`
		FallbackUsed bool     `json:"fallback_used"`
		DegradedMode bool     `json:"degraded_mode"`
		Warnings     []string `json:"warnings"`
		Error        string   `json:"error"`
	}{problemBase + title, title, status, text, nil, source.String(), degraded, degraded, warnings, text})
	if err != nil { // strings, numbers and booleans always marshal; say it all the same
		body = []byte(`{"title":"` + title + `"}`)
	}
	return body[:len(body)-1]
}

// quoted is a string of structured fields (RFC 9651, section 3.3.3): printable ASCII, \ and " escaped.
func quoted(s string) string {
	b := make([]byte, 0, len(s)+2)
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20 || c > 0x7e:
			b = append(b, '_')
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

// reply makes the answer to a refused or failed request. wait is 0 where nobody knows it.
func (a *answers) reply(x *Exchange, reason fallback.Reason, source fallback.Source, tried bool, wait time.Duration) Reply {
	r := &a.refusals[reason]
	retryAfter := int64(0)
	if wait > 0 {
		retryAfter = seconds(wait)
	}
	headers := make([]Header, 0, 12)
	reply := Reply{GRPC: noGRPC, Details: "weir_" + reason.String()}
	switch source {
	case fallback.FromDefault:
		headers = append(headers, a.defaultHeaders...)
		reply.Status, reply.Body = a.defaultStatus, a.defaultBody
	case fallback.FromDegraded:
		headers = append(headers, Header{"content-type", "application/problem+json"})
		reply.Status, reply.Body = a.degradedStatus, r.degraded.with(retryAfter)
	default:
		reply.Status = r.status
		switch {
		case x.request.GRPC:
			reply.GRPC, reply.Body = r.grpc, []byte(r.title)
		case tried:
			headers = append(headers, Header{"content-type", "application/problem+json"})
			reply.Body = r.noAnswer.with(retryAfter)
		default:
			headers = append(headers, Header{"content-type", "application/problem+json"})
			reply.Body = r.error.with(retryAfter)
		}
	}
	headers = append(headers, Header{HeaderSource, source.String()}, Header{HeaderReason, reason.String()})
	if source != fallback.FromError {
		headers = append(headers, Header{HeaderFallbackUsed, "true"})
	}
	if source == fallback.FromDegraded {
		headers = append(headers, Header{HeaderDegradedMode, "true"})
	}
	if retryAfter > 0 && source != fallback.FromDefault {
		headers = append(headers, Header{"retry-after", strconv.FormatInt(retryAfter, 10)})
	}
	if reason == fallback.RateLimited {
		if source == fallback.FromError {
			headers = append(headers, Header{"x-envoy-ratelimited", "true"})
		}
		if x.plan.limitHeaders != policy.HeadersNone {
			headers = append(headers, a.limitHeaders(&x.limit)...)
		}
	} else if x.plan.limitHeaders == policy.HeadersAll && x.limit.Admitted {
		headers = append(headers, a.limitHeaders(&x.limit)...)
	}
	reply.Headers = headers
	return reply
}

// limitHeaders tells what is left, in the IETF's form (draft-ietf-httpapi-ratelimit-headers) and the older one. t and
// reset are the seconds until the limit is whole again; Retry-After, on a refusal, is when one request is.
func (a *answers) limitHeaders(v *ratelimit.Verdict) []Header {
	remaining := strconv.FormatInt(v.Remaining, 10)
	reset := strconv.FormatInt(seconds(v.Reset), 10)
	return []Header{
		{"ratelimit-policy", a.policyHeader},
		{"ratelimit", a.limitPrefix + remaining + ";t=" + reset},
		{"x-ratelimit-limit", a.quota},
		{"x-ratelimit-remaining", remaining},
		{"x-ratelimit-reset", reset},
	}
}

// seconds rounds up to whole seconds, as headers count.
func seconds(d time.Duration) int64 {
	if d > math.MaxInt64-time.Second {
		return int64(d / time.Second)
	}
	return int64((d + time.Second - 1) / time.Second)
}
