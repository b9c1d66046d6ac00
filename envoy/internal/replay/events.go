package replay

import (
	"unsafe"

	"github.com/weir-mesh/weir/envoy/internal/replay/proxyhost"
)

// eventKind is what happens to an admitted request.
type eventKind uint8

const (
	respond    eventKind = iota // the response's headers come
	finishBody                  // its body ends, or is cut off
	finish                      // all at once: headers and end, or the end without a response
)

// event is one that is due.
type event struct {
	at      int64
	request uint32 // its index
	kind    eventKind
	stream  *proxyhost.Stream
}

// events is a heap of events by time, those of the same time by request. (container/heap would allocate each.)
type events []event

func (e event) before(other event) bool {
	return e.at < other.at || e.at == other.at && e.request < other.request
}

func (es *events) add(e event) {
	h := append(*es, e)
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h[i].before(h[parent]) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
	*es = h
}

// next removes and returns the first event, if it is due until then.
func (es *events) next(until int64) (first event, due bool) {
	h := *es
	if len(h) == 0 || h[0].at > until {
		return first, false
	}
	first = h[0]
	last := len(h) - 1
	h[0], h[last] = h[last], event{}
	h = h[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].before(h[least]) {
				least = child
			}
		}
		if least == i {
			break
		}
		h[i], h[least] = h[least], h[i]
		i = least
	}
	*es = h
	return first, true
}

// bytesOf are the bytes of a text, which are only read.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
