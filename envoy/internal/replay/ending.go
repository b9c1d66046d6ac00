package replay

import (
	"bytes"
	"strconv"

	"github.com/weir-mesh/weir/envoy/internal/replay/accesslog"
	"github.com/weir-mesh/weir/envoy/internal/replay/proxyhost"
)

// ending is how a request ended in the log.
type ending uint8

const (
	answered ending = iota // a response came, and ended
	cut                    // a response came, and its body was cut off
	silent                 // no response was sent
	// unsure is a 429 or 503 in a log without details, without a flag, and without the upstream's time. Where other lines have that
	// time, the proxy itself answered it: another filter, or a Weir.
	unsure
	local // the proxy itself answered, the log does not say why
)

func (e ending) decided(timed bool) ending {
	switch {
	case e == unsure && timed:
		return local
	case e == unsure:
		return answered
	}
	return e
}

// The details of endings, as Envoy writes them.
const (
	viaUpstream  = "via_upstream"
	before       = "upstream_reset_before_response_started"
	after        = "upstream_reset_after_response_started"
	clientLeft   = "downstream_remote_disconnect"
	otherFilter  = "answered_by_the_proxy" // of no meaning to Weir, which takes it for another filter's
	weirsDetails = "weir_"
)

// flags are the details that belong to a response flag, in a log without details. URX only says that retries were used up; all
// other flags are of the proxy itself.
var flags = map[string]string{
	"UH": "no_healthy_upstream", "UF": before + "{remote_connection_failure}", "UO": before + "{overflow}", "UT": "response_timeout",
	"UPE": before + "{protocol_error}", "UC": before + "{connection_termination}", "UR": before + "{remote_reset}",
	"LR": before + "{local_reset}", "SI": "stream_idle_timeout", "DT": "max_duration_timeout",
	"UMSDR": "upstream_max_stream_duration_reached", "DC": clientLeft, "DPE": "http1.codec_error", "URX": viaUpstream,
}

// endingOf is how a line's request ended, with its response.code_details.
func endingOf(line *accesslog.Line) (details []byte, e ending) {
	details = line.Details
	switch {
	case len(details) > 0:
	case len(line.Flags) > 0:
		details = byFlags(line.Flags)
	case line.Status == 0:
		details = []byte(clientLeft)
	case (line.Status == 429 || line.Status == 503) && line.First < 0:
		return []byte(viaUpstream), unsure
	default:
		details = []byte(viaUpstream)
	}
	switch {
	case line.Status == 0:
		return details, silent
	case bytes.HasPrefix(details, []byte("downstream_")), bytes.HasPrefix(details, []byte(after)), bytes.HasPrefix(details, []byte("http")):
		return details, cut
	case bytes.HasPrefix(details, []byte(before)) && line.Status < 500: // by a flag: upstream had answered
		return append([]byte(after), details[len(before):]...), cut
	}
	return details, answered
}

func byFlags(written []byte) []byte {
	found := ""
	for flag := range bytes.SplitSeq(written, []byte(",")) {
		details, known := flags[string(bytes.TrimSpace(flag))]
		switch {
		case !known:
			return []byte(otherFilter)
		case found == "" || found == viaUpstream:
			found = details
		}
	}
	return []byte(found)
}

// isWeirs reports whether details are of a refusal by Weir.
func isWeirs(details []byte) bool { return bytes.HasPrefix(details, []byte(weirsDetails)) }

// response packs the headers of a line's response.
func (b *builder) response(line *accesslog.Line) []byte {
	b.pairs = append(b.pairs[:0], [2]string{":status", strconv.Itoa(line.Status)})
	if line.GRPC >= 0 {
		b.pairs = append(b.pairs, [2]string{"grpc-status", strconv.Itoa(line.GRPC)})
	}
	b.b = proxyhost.Pack(b.b[:0], b.pairs...)
	return b.b
}
