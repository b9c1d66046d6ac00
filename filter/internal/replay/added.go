package replay

import "strings"

// Envoy adds what a route adds to responses (response_headers_to_add) to each local reply, before the reply's own headers. The
// response of an attempt has it already, from the same route in the internal listener:
//
//	upstream   x-by: upstream
//	attempt    x-by: upstream, x-by: route      the route appends
//	reply      x-by: route, and what Weir sends: x-by: upstream
//
// So it is left out of what Weir sends. What it is, Weir asks the internal listener: a request that goes no further than to
// Weir there gets a local reply, which has nothing else (Attempt.Added).

// WithoutAdded is a response's headers without those that a route adds to an empty response. Where the response came by that
// route, the last header of such a name is the route's, though its value may differ from the one that was added then
// (%START_TIME%). A response of another region came by another route, and has what both add.
func WithoutAdded(headers, added [][2]string, sameRoute bool) [][2]string {
	for i := len(added) - 1; i >= 0; i-- {
		headers = withoutLast(headers, added[i][0], added[i][1], sameRoute)
	}
	return headers
}

func withoutLast(headers [][2]string, name, value string, anyValue bool) [][2]string {
	last := -1
	for i := len(headers) - 1; i >= 0; i-- {
		if headers[i][0] != name {
			continue
		}
		if headers[i][1] == value {
			last = i
			break
		}
		if last < 0 && (anyValue || strings.HasSuffix(headers[i][1], ","+value)) {
			last = i
		}
	}
	if last < 0 {
		return headers
	}
	// Envoy joins some headers to one line when it appends.
	rest, joined := strings.CutSuffix(headers[last][1], ","+value)
	left := make([][2]string, 0, len(headers))
	left = append(left, headers[:last]...)
	if joined {
		left = append(left, [2]string{name, rest})
	}
	return append(left, headers[last+1:]...)
}
