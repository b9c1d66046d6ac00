package replay

import (
	"strings"

	"github.com/weir-mesh/weir/filter/internal/host/pairs"
	"github.com/weir-mesh/weir/policy/ascii"
)

// isHopByHop reports whether a header belongs to one connection and is never forwarded (RFC 9110, section 7.6.1).
// `trailer` is among them, since trailers are not forwarded.
func isHopByHop(name string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

// readConnection collects the hop-by-hop headers that a message's `connection` names.
func (r *Recorder) readConnection(headers pairs.Packed) {
	clear(r.named)
	r.named = r.named[:0]
	headers.All(func(name, value string) bool {
		if name == "connection" {
			for option := range strings.SplitSeq(value, ",") {
				if option = ascii.Trim(option, " \t"); option != "" {
					r.named = append(r.named, option)
				}
			}
		}
		return true
	})
}

// isNamed reports whether the last readConnection found a header's name. A pseudo-header is never hop-by-hop.
func (r *Recorder) isNamed(name string) bool {
	for _, option := range r.named {
		if ascii.EqualFold(option, name) && !strings.HasPrefix(name, ":") {
			return true
		}
	}
	return false
}
