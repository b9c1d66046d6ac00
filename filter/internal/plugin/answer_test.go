package plugin

import (
	"testing"

	"github.com/weir-mesh/weir/filter/internal/host/pairs"
	"github.com/weir-mesh/weir/policy/header"
)

func TestReadAnswer(t *testing.T) {
	timed := header.Pair{"x-envoy-upstream-service-time", "3"}
	for _, tc := range []struct {
		headers   []header.Pair
		want      answer
		upstreams bool
	}{
		{nil, answer{}, false},
		{[]header.Pair{{":status", "200"}, timed}, answer{status: 200, timed: true}, true},
		{[]header.Pair{timed, {":status", "204"}}, answer{status: 204, timed: true}, true},
		{[]header.Pair{{":status", "200"}}, answer{status: 200}, false},
		{[]header.Pair{{":status", "301"}, timed}, answer{status: 301, timed: true}, false},
		{[]header.Pair{{":status", "403"}, timed}, answer{status: 403, timed: true}, false}, // of ext_authz
		{[]header.Pair{{":status", "503"}, timed}, answer{status: 503, timed: true}, false},
		{[]header.Pair{{":status", "200"}, timed, {"age", "0"}}, answer{status: 200, timed: true, aged: true}, false},
		{[]header.Pair{{":status", "x"}, timed}, answer{timed: true}, false},
		{
			[]header.Pair{{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", "14"}, timed},
			answer{status: 200, contentType: "application/grpc", grpc: "14", timed: true},
			true,
		},
		{[]header.Pair{{":status", "429"}, {"retry-after", "7"}}, answer{status: 429, retryAfter: "7"}, false},
		{[]header.Pair{{":status", "200"}, {"x-weir-source", "cache"}}, answer{status: 200, own: true}, false},
		{[]header.Pair{{":status", "200"}, {"x_weir_error", "a"}}, answer{status: 200, own: true}, false},
		// Names as long as those that are read.
		{
			[]header.Pair{{"via", "1"}, {"x-ratio", "1"}, {"grpc-states", "1"}, {"x-somethings", "1"}, {"x-envoy-upstream-service-tide", "1"}},
			answer{},
			false,
		},
	} {
		got := readAnswer(pairs.Pack(tc.headers))
		if got != tc.want || got.isUpstreams() != tc.upstreams {
			t.Errorf("readAnswer(%v) = %+v, of upstream %v, want %+v, %v", tc.headers, got, got.isUpstreams(), tc.want, tc.upstreams)
		}
	}
}
