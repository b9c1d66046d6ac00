package plugin

import (
	"errors"
	"strconv"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/policy/fallback"
)

// pieceSize is how many bytes of a body are read at a time: they fit into the arena, so a copy leaves no garbage.
const pieceSize = 32 << 10

// OnHTTPRequestBody implements host.HTTPContext.
func (s *stream) OnHTTPRequestBody(size int, ended bool) host.Action {
	if ended {
		s.whole()
	}
	if s.recording.Wants() {
		s.record(size, ended)
	}
	return host.Continue
}

// record copies the bytes of the request's body that pass now.
func (s *stream) record(size int, ended bool) {
	if size == 0 {
		s.recording.Body(nil, ended)
		return
	}
	err := pieces(host.RequestBody, size, func(piece []byte, last bool) (more bool) {
		s.recording.Body(piece, ended && last)
		return s.recording.Wants()
	})
	if err != nil {
		s.recording.Drop()
		s.fault(errors.New("a request's body: " + err.Error()))
	}
}

// OnHTTPRequestTrailers implements host.HTTPContext.
func (s *stream) OnHTTPRequestTrailers(int) host.Action {
	s.whole()
	s.recording.Trailers()
	return host.Continue
}

// whole notes when upstream has the whole request.
func (s *stream) whole() {
	if s.request.WantsWhole() {
		s.request.Whole(host.Now())
	}
}

// keep begins to copy the response whose headers pass now, if it may be kept: not that of another cluster. The route of
// one that is copied is always checked, which is once a second for each key.
func (s *stream) keep(ended bool, now int64) {
	if ended && !s.routeChecked { // it is stored at once
		s.checkRoute(now)
	}
	s.request.Keep(&s.headers, ended, now, host.Wall())
	if s.request.Capturing() && !s.routeChecked {
		s.checkRoute(now)
	}
}

// OnHTTPResponseBody implements host.HTTPContext.
func (s *stream) OnHTTPResponseBody(size int, ended bool) host.Action {
	if s.request.Capturing() {
		s.capture(size)
	}
	switch {
	case ended && s.request.Unsettled():
		s.request.End(outcome.NoGRPC, host.Now())
	case !ended && s.request.Passes(size):
		s.passed()
	}
	return host.Continue
}

// capture copies the bytes of the response's body that pass now.
func (s *stream) capture(size int) {
	err := pieces(host.ResponseBody, size, func(piece []byte, _ bool) (more bool) {
		s.request.Body(piece)
		return s.request.Capturing()
	})
	if err != nil {
		s.request.Discard(fallback.NoObstacle) // which is counted as a fault
		s.fault(errors.New("a response's body: " + err.Error()))
	}
}

// passed notes when a piece of the response's body passes.
func (s *stream) passed() { s.request.Passed(host.Now()) }

// OnHTTPResponseTrailers implements host.HTTPContext.
func (s *stream) OnHTTPResponseTrailers(int) host.Action {
	s.request.Discard(fallback.Trailers)
	if s.request.Unsettled() {
		status := outcome.NoGRPC
		if value, err := host.Header(host.ResponseTrailers, "grpc-status"); err == nil { // also to JSON: of a transcoder
			status = grpcStatus(value)
		}
		now := host.Now()
		if !s.routeChecked && s.request.ChecksRouteAtEnd(outcome.DetailsUpstream, status) {
			s.checkRoute(now)
		}
		s.readAge(outcome.DetailsUpstream, 0, status, now)
		s.request.End(status, now)
	}
	return host.Continue
}

// pieces reads the size bytes of a body that pass now, piece by piece, until take returns false.
func pieces(b host.Buffer, size int, take func(piece []byte, last bool) (more bool)) error {
	for at := 0; at < size; {
		host.ReuseMemory()
		piece, err := host.Bytes(b, at, min(pieceSize, size-at))
		if err != nil || len(piece) == 0 {
			return errors.New("only " + strconv.Itoa(at) + " of " + strconv.Itoa(size) + " bytes can be read: " + err.Error())
		}
		at += len(piece)
		if !take(piece, at == size) {
			return nil
		}
	}
	return nil
}
