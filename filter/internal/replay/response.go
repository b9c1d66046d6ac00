package replay

import (
	"strconv"
	"strings"
	"time"

	"github.com/weir-mesh/weir/filter/internal/host/pairs"
	"github.com/weir-mesh/weir/policy/decimal"
	"github.com/weir-mesh/weir/policy/header"
)

// MaxResponse is the longest body of a response, in bytes.
const MaxResponse = 8 << 20

// Details as Envoy has them for requests through its router (source/common/stream_info, ResponseCodeDetails).
const (
	detailsUpstream = "via_upstream"
	detailsTimeout  = "response_timeout"
	detailsNoHost   = "no_healthy_upstream"
	detailsReset    = "upstream_reset_before_response_started"
	detailsBroken   = "upstream_reset_after_response_started{remote_reset}"
	detailsLocal    = "weir_local_reply" // of Envoy, with an unknown text
)

// CallResult is what the host returns when a call has ended.
type CallResult struct {
	Headers  pairs.Packed  // of the response, nil if there is none
	Body     []byte        // of the response, or its first MaxResponse bytes
	BodySize int           // of the whole body
	Took     time.Duration // since the call was made
	Timeout  time.Duration // of the call, in whole milliseconds; 0: none
	Attempt  *Attempt      // what the plugin in the internal listener noted; nil: nothing
}

// Response is the response to an attempt.
type Response struct {
	Details    string      // as response.code_details of a request through the router; via_upstream: upstream responded
	Status     int         // upstream's, or the one that Envoy made: never 0
	RetryAfter string      // upstream's Retry-After, not parsed; "" if there is none
	Headers    [][2]string // for the client, without :status
	Body       []byte      // for the client
	Reason     Reason      // why it can't be sent to the client; None: it can
}

// Response makes the response of a call's result. Its headers are the recorder's memory and valid until the next
// Request or Response; their texts and the body are those of e.
//
// What Weir noted in the internal listener counts for more than what the call tells: that can't tell upstream's response
// from one of another filter, nor a response that Weir ended from one that broke off. What did not come to that Weir was
// answered by a filter before it, or by Envoy, which has no such listener: never by upstream.
func (r *Recorder) Response(e *CallResult) (a Response) {
	a = r.response(e)
	if n := e.Attempt; n != nil && !n.Seen {
		a.Details = detailsLocal
		if a.Reason == None {
			a.Reason = Unseen
		}
	} else if n != nil {
		if n.Details != "" && (len(e.Headers) > 0 || n.Details != detailsUpstream) {
			a.Details = n.Details
		}
		if n.Reason != None {
			a.Reason, a.Details = n.Reason, detailsLocal // Weir's own answer there says nothing about upstream
			if n.Status != 0 {
				a.Status, a.Details = n.Status, detailsUpstream
			}
		}
	}
	return a
}

func (r *Recorder) response(e *CallResult) (a Response) {
	r.headers = r.headers[:0]
	if len(e.Headers) == 0 {
		return r.broken(e)
	}
	r.readConnection(e.Headers)
	upstream, typed := false, false
	e.Headers.All(func(name, value string) bool {
		switch name {
		case ":status":
			a.Status, _ = decimal.Int(value) // 0 unless it is a number
			return true
		case "retry-after":
			a.RetryAfter = value
		case "content-type":
			typed = true
		case "x-envoy-upstream-service-time":
			upstream = true
		case header.Attempt: // the internal listener does not know the attempt
			a.Reason = NoWay
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
	case a.Reason != None:
	case a.Status < 200 || a.Status > 599:
		a.Status, a.Reason = 502, InvalidStatus
	case e.BodySize > min(len(e.Body), MaxResponse):
		a.Reason = ResponseTooLong
	}
	if !typed && len(a.Body) > 0 {
		// Else Envoy would set text/plain. A recipient may assume this type if there is none (RFC 9110, section 8.3).
		r.headers = append(r.headers, [2]string{"content-type", "application/octet-stream"})
	}
	a.Headers = r.headers
	return a
}

// isForClient reports whether a header of a response is part of the local reply. Content-length is for InPlace; a local
// reply sets its own.
func isForClient(name string) bool {
	return !isHopByHop(name) && !strings.HasPrefix(name, header.Prefix)
}

// broken is the response of a call that returned none: it began and was cut off, or was longer than Envoy buffers. The
// status is that of Envoy's router in such a case, 502 or 504.
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

// localDetails derives the details from the text of Envoy's own response:
//
//	upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport …
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

// InPlace is the response to a HEAD as the header map that replaces that of the first response: a local reply would
// lose the content-length.
func InPlace(status int, headers [][2]string) [][2]string {
	return append([][2]string{{":status", strconv.Itoa(status)}}, headers...)
}

// With is headers and set, without the headers that have the name of one of set.
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
