package proxyhost

import (
	"context"
	"encoding/binary"
)

// Stream is one request, as the filter sees it.
type Stream struct {
	Request  []byte // its headers, packed by Pack
	Cluster  string // that its route leads to
	Route    string // its route's name; "": none
	Source   string // the client's address with its port; "": not known
	Details  string // response.code_details, once the request has ended; "": none
	Response []byte // the headers of its response, packed

	// Replied is the details of the local reply by which the module answered: weir_rate_limited and others. "": it let it pass.
	Replied string

	id    uint32
	began int64
}

// Begin lets the module decide about a request, at the time of the clock.
func (h *Host) Begin(ctx context.Context, s *Stream) (passes bool, err error) {
	h.last++
	s.id, s.began, s.Replied = h.last, h.clock, ""
	h.stream, h.streams[s.id] = s, s
	if err = h.call(ctx, h.calls.create, uint64(s.id), pluginContext); err != nil {
		return false, err
	}
	if err = h.call(ctx, h.calls.requestHeaders, uint64(s.id), count(s.Request), 1); err != nil {
		return false, err
	}
	return s.Replied == "", nil
}

// Respond shows the module the headers of the response. Ended: it has no body.
func (h *Host) Respond(ctx context.Context, s *Stream, ended bool) error {
	h.stream = s
	end := uint64(0)
	if ended {
		end = 1
	}
	return h.call(ctx, h.calls.responseHeaders, uint64(s.id), count(s.Response), end)
}

// Body shows the module the end of the response's body.
func (h *Host) Body(ctx context.Context, s *Stream) error {
	h.stream = s
	return h.call(ctx, h.calls.responseBody, uint64(s.id), 0, 1)
}

// End ends the stream, also one whose response has not come or not ended.
func (h *Host) End(ctx context.Context, s *Stream) error {
	h.stream = s
	err := h.call(ctx, h.calls.remove, uint64(s.id))
	delete(h.streams, s.id)
	h.stream = nil
	return err
}

// Pack writes headers in the form in which a module gets them:
//
//	u32 count │ count times: u32 name length, u32 value length │ count times: name, NUL, value, NUL
func Pack(b []byte, headers ...[2]string) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(headers)))
	for _, h := range headers {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(h[0])))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(h[1])))
	}
	for _, h := range headers {
		b = append(append(b, h[0]...), 0)
		b = append(append(b, h[1]...), 0)
	}
	return b
}

func count(packed []byte) uint64 {
	if len(packed) < 4 {
		return 0
	}
	return uint64(binary.LittleEndian.Uint32(packed))
}
