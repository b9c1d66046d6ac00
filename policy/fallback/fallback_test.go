package fallback

import "testing"

func TestChoose(t *testing.T) {
	on := [UpstreamFailure + 1]bool{CircuitOpen: true, UpstreamFailure: true}
	for _, tc := range []struct {
		name   string
		config Config
		reason Reason
		want   Source
		tried  bool
	}{
		{"default data first", Config{On: on, Default: true, Degraded: true}, CircuitOpen, FromDefault, true},
		{"then degraded mode", Config{On: on, Degraded: true}, UpstreamFailure, FromDegraded, true},
		{"then nothing", Config{On: on}, CircuitOpen, FromError, true},
		{"not asked for this reason", Config{On: on, Default: true}, RateLimited, FromError, false},
	} {
		got, tried := Choose(&tc.config, tc.reason)
		if got != tc.want || tried != tc.tried {
			t.Errorf("%s: got %v %v, want %v %v", tc.name, got, tried, tc.want, tc.tried)
		}
	}
}
