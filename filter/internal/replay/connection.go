package replay

import (
	"strings"

	"github.com/weir-mesh/weir/filter/internal/host/pairs"
)

// isHopByHop says which headers belong to one connection and are never passed on (RFC 9110, section 7.6.1), and
// `trailer`, since there are none.
func isHopByHop(name string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

// readConnection collects the further headers that a message's `connection` names.
func (r *Recorder) readConnection(headers pairs.Packed) {
	clear(r.named)
	r.named = r.named[:0]
	headers.All(func(name, value string) bool {
		if name == "connection" {
			for option := range strings.SplitSeq(value, ",") {
				if option = strings.Trim(option, " \t"); option != "" {
					r.named = append(r.named, option)
				}
			}
		}
		return true
	})
}

// isNamed says whether the `connection` looked at last names a header. A pseudo-header belongs to the message, whatever
// is written there.
func (r *Recorder) isNamed(name string) bool {
	for _, option := range r.named {
		if strings.EqualFold(option, name) && !strings.HasPrefix(name, ":") {
			return true
		}
	}
	return false
}
