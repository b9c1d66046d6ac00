package plugin

import (
	"testing"

	"github.com/weir-mesh/weir/filter/internal/request"
)

func TestGRPCTimeout(t *testing.T) {
	for value, want := range map[string]uint32{
		"1H": 3_600_000, "2M": 120_000, "3S": 3000, "4m": 4, "5000u": 5, "6000000n": 6,
		"0S": 1, "999u": 1, "1n": 1, "99999999H": 1<<32 - 1, // rounded up; 49 days at most
		"": 1, "S": 1, "10": 1, "1s": 1, "-1S": 1, "1 S": 1, "123456789S": 1, "soon": 1, // a server refuses these
	} {
		if got := grpcTimeout(value); got != want {
			t.Errorf("grpcTimeout(%q) = %d, want %d", value, got, want)
		}
	}
}

func TestReadTimeout(t *testing.T) {
	for _, tc := range []struct {
		name, value string
		want        request.Deadlines
	}{
		{"x-envoy-upstream-rq-timeout-ms", "20", request.Deadlines{Request: 20}},
		{"x-envoy-upstream-rq-per-try-timeout-ms", "21", request.Deadlines{Try: 21}},
		{"x-envoy-upstream-stream-duration-ms", "22", request.Deadlines{Stream: 22}},
		{"x-envoy-expected-rq-timeout-ms", "23", request.Deadlines{Stream: 23}},
		{"x-envoy-upstream-rq-timeout-ms", "0", request.Deadlines{}}, // none
		{"x-envoy-upstream-rq-timeout-ms", "-1", request.Deadlines{}},
		{"x-envoy-upstream-rq-timeout-ms", "18446744073709551615", request.Deadlines{Request: 1<<32 - 1}},
		{"x-envoy-upstream-rq-timeout-mz", "20", request.Deadlines{}},
	} {
		var got request.Deadlines
		if readTimeout(tc.name, tc.value, &got); got != tc.want {
			t.Errorf("readTimeout(%s: %s): got %+v, want %+v", tc.name, tc.value, got, tc.want)
		}
	}
	d := request.Deadlines{Request: 20}
	readTimeout("x-envoy-upstream-rq-timeout-ms", "30", &d)
	if readTimeout("x-envoy-upstream-rq-timeout-ms", "10", &d); d.Request != 10 {
		t.Errorf("of 20, 30 and 10: got %d, want the shortest", d.Request)
	}
}
