package replay

import (
	"github.com/weir-mesh/weir/filter/internal/host/pairs"
	"github.com/weir-mesh/weir/policy/decimal"
	"github.com/weir-mesh/weir/policy/header"
)

// Recording is the copy of one request, made while it streams to upstream. The zero Recording is empty.
//
//	buffer:  headers, as the host packs them │ body, as far as it has come │ room
//	         0 ……………………………………………………………………… head
type Recording struct {
	from    *Recorder
	buf     []byte // nil: nothing is recorded, Reason says why
	head    int
	maxBody int
	ended   bool
	reason  Reason // None while buf is there
}

// Begin copies a request's headers. Ended: no body follows. A body of more than maxBody bytes is not recorded; one
// whose content-length is longer is not begun. What was recorded before is dropped.
func (r *Recording) Begin(from *Recorder, headers pairs.Packed, ended bool, maxBody int64) {
	r.Drop()
	r.from, r.ended, r.maxBody = from, ended, int(max(maxBody, 0))
	declared := -1
	r.reason = None
	c := headers.Cursor()
	for r.reason == None && c.Next() {
		switch c.Name {
		case ":method":
			if c.Value == "CONNECT" {
				r.reason = Connect
			}
		case ":protocol":
			r.reason = Connect
		case "upgrade":
			r.reason = Upgrade
		case "content-type":
			if header.IsGRPC(c.Value) {
				r.reason = GRPC
			}
		case "accept":
			if header.IsEvents(c.Value) {
				r.reason = Events
			}
		case "content-length":
			if n, ok := decimal.Int(c.Value); ok {
				declared = n
			}
		}
	}
	if r.reason == None && !ended && declared > r.maxBody {
		r.reason = RequestTooLong
	}
	if r.reason != None {
		return
	}
	r.head = len(headers)
	size := r.head
	if !ended {
		size += max(declared, 0)
	}
	if r.buf = from.pool.Get(size); r.buf == nil {
		r.reason = RecorderFull
		return
	}
	r.buf = append(r.buf, headers...)
}

// Wants reports whether Body needs the next piece.
func (r *Recording) Wants() bool { return r.buf != nil && !r.ended }

// Body copies the next piece of the body. Ended: it is the last one.
func (r *Recording) Body(piece []byte, ended bool) {
	if !r.Wants() {
		return
	}
	n := len(r.buf) + len(piece)
	if n-r.head > r.maxBody {
		r.drop(RequestTooLong)
		return
	}
	larger := r.from.pool.Grow(r.buf, n)
	if larger == nil {
		r.drop(RecorderFull)
		return
	}
	r.buf, r.ended = append(larger, piece...), ended
}

// Trailers drops the recording of a request with trailers: it can't be sent again.
func (r *Recording) Trailers() { r.drop(HasTrailers) }

// Whole reports whether the whole request is recorded, so that it can be sent again.
func (r *Recording) Whole() bool { return r.buf != nil && r.ended }

// Reason is why it is not Whole, None if it is.
func (r *Recording) Reason() Reason {
	switch {
	case r.Whole():
		return None
	case r.buf != nil:
		return Unfinished
	case r.reason == None:
		return Dropped
	default:
		return r.reason
	}
}

// Headers are the recorded headers, valid until the recording is dropped.
func (r *Recording) Headers() pairs.Packed { return pairs.Packed(r.buf[:min(r.head, len(r.buf))]) }

// Drop gives the recording's memory back. Whoever Begins one drops it, at the latest when its stream is done; twice is no
// harm.
func (r *Recording) Drop() { r.drop(Dropped) }

func (r *Recording) drop(why Reason) {
	if r.buf == nil {
		return
	}
	r.from.pool.Put(r.buf)
	r.buf, r.reason = nil, why
}
