package plugin

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/policy/decimal"
)

// shortestTimeout is the shortest of the names that readTimeout knows.
const shortestTimeout = "x-envoy-upstream-rq-timeout-ms"

// readTimeout reads a header by which a client chooses when Envoy's router ends its request. Envoy removes those of external
// clients before any filter sees them.
func readTimeout(name, value string, d *request.Deadlines) {
	switch name {
	case "x-envoy-upstream-rq-timeout-ms":
		shorten(&d.Request, milliseconds(value))
	case "x-envoy-upstream-rq-per-try-timeout-ms":
		shorten(&d.Try, milliseconds(value))
	case "x-envoy-upstream-stream-duration-ms",
		"x-envoy-expected-rq-timeout-ms": // obeyed by a router with respect_expected_rq_timeout
		shorten(&d.Stream, milliseconds(value))
	}
}

// shorten takes a deadline, unless there is a shorter one.
func shorten(d *uint32, ms uint32) {
	if ms != 0 && (*d == 0 || ms < *d) {
		*d = ms
	}
}

// milliseconds reads a header of Envoy's router: 0, and what is no number, mean none.
func milliseconds(value string) uint32 {
	n, ok := decimal.Whole(value)
	if !ok {
		return 0
	}
	return uint32(min(n, math.MaxUint32))
}

// grpcTimeout reads a grpc-timeout, 1 to 8 digits and a unit, rounded up to milliseconds. A server refuses one that it can't read,
// and one of 0 has passed: both count as 1 ms.
func grpcTimeout(value string) uint32 {
	if len(value) < 2 || len(value) > 9 {
		return 1
	}
	n := uint64(0)
	for _, c := range []byte(value[:len(value)-1]) {
		if c < '0' || c > '9' {
			return 1
		}
		n = 10*n + uint64(c-'0')
	}
	switch value[len(value)-1] {
	case 'H':
		n *= 3_600_000
	case 'M':
		n *= 60_000
	case 'S':
		n *= 1000
	case 'm':
	case 'u':
		n /= 1000
	case 'n':
		n /= 1_000_000
	default:
		return 1
	}
	return uint32(min(max(n, 1), math.MaxUint32))
}

// readAge tells the request how old its stream is, where that decides whether its client's deadline may be why it failed.
func (s *stream) readAge(details string, status, grpc int, now int64) {
	if !s.request.WantsAge(details, status, grpc, now) {
		return
	}
	began, err := host.Property(host.RequestTime)
	if err != nil || len(began) != 8 {
		return
	}
	s.request.Age(time.Duration(host.WallNano()-int64(binary.LittleEndian.Uint64(began))), now)
}
