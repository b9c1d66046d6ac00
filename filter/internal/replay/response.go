package replay

import (
	"strconv"
	"strings"
	"time"

	"github.com/weir-mesh/weir/filter/internal/host/pairs"
	"github.com/weir-mesh/weir/policy/header"
)

// MaxResponse is the longest body, in bytes, that an answer to a call may have.
const MaxResponse = 8 << 20

// NotSent are the Details of a call that failed at once: Envoy has no such cluster, no healthy host in it, or too many
// requests to it (it does not say which). Upstream was never asked.
const NotSent = detailsReset + "{overflow}"

// Details as Envoy has them for requests through its router (source/common/stream_info, ResponseCodeDetails).
const (
	detailsUpstream = "via_upstream"
	detailsTimeout  = "response_timeout"
	detailsNoHost   = "no_healthy_upstream"
	detailsReset    = "upstream_reset_before_response_started"
	detailsBroken   = "upstream_reset_after_response_started{remote_reset}"
	detailsLocal    = "weir_local_reply" // of Envoy, in words that nobody knows
)

// CallResult is what is known when a call has ended.
type CallResult struct {
	Headers  pairs.Packed  // of the answer, nil where there are none
	Body     []byte        // of the answer, or its first MaxResponse bytes
	BodySize int           // of all of it
	Took     time.Duration // since the call was made
	Timeout  time.Duration // that it was given, in whole milliseconds; 0: none
}

// Answer is what a call came to.
type Response struct {
	Details    string      // as response.code_details would be, had the router sent it; via_upstream: upstream answered
	Status     int         // upstream's, or what Envoy says in its place: never 0
	RetryAfter string      // upstream's Retry-After as it stands, "" where there is none
	Headers    [][2]string // for the client, without :status
	Body       []byte      // for the client
	Reason     Reason      // why the client can't have it, None where it can
}

// Answer reads what a call came to. Its headers are the recorder's memory and good until the next Request or Answer; their texts
// and the body are those of what was given.
func (r *Recorder) Response(e *CallResult) (a Response) {
	r.headers = r.headers[:0]
	if len(e.Headers) == 0 {
		return r.broken(e)
	}
	r.readConnection(e.Headers)
	upstream, typed := false, false
	e.Headers.All(func(name, value string) bool {
		switch name {
		case ":status":
			a.Status, _ = strconv.Atoi(value) // what is no number is no status
			return true
		case "retry-after":
			a.RetryAfter = value
		case "content-type":
			typed = true
		case "x-envoy-upstream-service-time":
			upstream = true
		}
		if isForClient(name) && !r.isNamed(name) {
			r.headers = append(r.headers, [2]string{name, value})
		}
		return true
	})
	a.Body = e.Body
	a.Details = detailsUpstream
	if !upstream {
		a.Details = localDetails(a.Status, e.Body)
	}
	switch {
	case a.Status < 200 || a.Status > 599:
		a.Status, a.Reason = 502, InvalidStatus
	case e.BodySize > min(len(e.Body), MaxResponse):
		a.Reason = ResponseTooLong
	}
	if !typed && len(a.Body) > 0 {
		// Else Envoy would say text/plain. It is what a message without one may be taken for (RFC 9110, section 8.3).
		r.headers = append(r.headers, [2]string{"content-type", "application/octet-stream"})
	}
	a.Headers = r.headers
	return a
}

// isForClient says whether a header of an answer is part of the local reply. Content-length is for InPlace; a local reply
// has its own whatever is given.
func isForClient(name string) bool {
	return !isHopByHop(name) && !strings.HasPrefix(name, header.Prefix)
}

// broken is the answer to a call that has none: it began and was cut off, or was longer than Envoy keeps. Envoy's
// router says 502 or 504 where it still can.
func (r *Recorder) broken(e *CallResult) Response {
	a := Response{Details: detailsBroken, Status: 502, Body: []byte(textBroken)}
	if e.Timeout > 0 && e.Took >= e.Timeout {
		a.Details, a.Status, a.Body = detailsTimeout, 504, []byte(textTimeout)
	}
	r.headers = append(r.headers, [2]string{"content-type", "text/plain"})
	a.Headers = r.headers
	return a
}

const (
	textBroken  = "upstream connect error or disconnect/reset after headers"
	textTimeout = "upstream request timeout"
)

// localDetails reads from the text of Envoy's own answer what happened:
//
//	upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: …
//	upstream request timeout
//	no healthy upstream
func localDetails(status int, body []byte) string {
	text := string(body[:min(len(body), longestText)])
	if _, reason, ok := strings.Cut(text, "reset reason: "); ok {
		reason, _, _ = strings.Cut(reason, ",")
		return detailsReset + "{" + strings.ReplaceAll(reason, " ", "_") + "}"
	}
	switch {
	case text == "no healthy upstream":
		return detailsNoHost
	case status == 504:
		return detailsTimeout
	default:
		return detailsLocal
	}
}

const longestText = 256

// InPlace is an answer to a HEAD as the whole header map that takes the first answer's place: a local reply would lose the
// content-length.
func InPlace(status int, headers [][2]string) [][2]string {
	return append([][2]string{{":status", strconv.Itoa(status)}}, headers...)
}

// With is headers with those of set, each of which is the only one of its name.
func With(headers, set [][2]string) [][2]string {
	all := make([][2]string, 0, len(headers)+len(set))
	for _, h := range headers {
		if !has(set, h[0]) {
			all = append(all, h)
		}
	}
	return append(all, set...)
}

func has(headers [][2]string, name string) bool {
	for _, h := range headers {
		if h[0] == name {
			return true
		}
	}
	return false
}
