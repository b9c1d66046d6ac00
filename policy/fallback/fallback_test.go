package fallback

import "testing"

func TestChoose(t *testing.T) {
	on := [UpstreamFailure + 1]bool{CircuitOpen: true, UpstreamFailure: true}
	for _, tc := range []struct {
		name   string
		config Config
		reason Reason
		found  Source
		want   Source
		tried  bool
	}{
		{"the cache first", Config{On: on, Cache: true, Default: true, Degraded: true}, CircuitOpen, FromCache, FromCache, true},
		{"stale before default data", Config{On: on, Cache: true, Default: true, Degraded: true}, CircuitOpen, FromStaleCache, FromStaleCache, true},
		{"nothing found: default data", Config{On: on, Cache: true, Default: true, Degraded: true}, CircuitOpen, FromError, FromDefault, true},
		{"the cache is switched off", Config{On: on, Default: true}, CircuitOpen, FromCache, FromDefault, true},
		{"no default data for the request", Config{On: on, Default: true, Degraded: true}, CircuitOpen, FromError, FromDegraded, true},
		{"then degraded mode", Config{On: on, Degraded: true}, UpstreamFailure, FromError, FromDegraded, true},
		{"then nothing", Config{On: on, Cache: true}, CircuitOpen, FromError, FromError, true},
		{"not asked for this reason", Config{On: on, Cache: true, Default: true}, RateLimited, FromCache, FromError, false},
		{"a source that is not of the cache", Config{On: on, Cache: true}, CircuitOpen, FromUpstream, FromError, true},
	} {
		hasDefault := tc.name != "no default data for the request"
		got, tried := Choose(&tc.config, tc.reason, tc.found, hasDefault)
		if got != tc.want || tried != tc.tried {
			t.Errorf("%s: got %v %v, want %v %v", tc.name, got, tried, tc.want, tc.tried)
		}
	}
}

func TestALookIntoTheCacheIsOnlyForItsReasons(t *testing.T) {
	for _, tc := range []struct {
		config Config
		reason Reason
		want   bool
	}{
		{Config{Cache: true, On: [UpstreamFailure + 1]bool{CircuitOpen: true}}, CircuitOpen, true},
		{Config{Cache: true, On: [UpstreamFailure + 1]bool{CircuitOpen: true}}, RateLimited, false},
		{Config{On: [UpstreamFailure + 1]bool{CircuitOpen: true}}, CircuitOpen, false},
		{Config{Cache: true, On: [UpstreamFailure + 1]bool{CircuitOpen: true}}, None, false},
	} {
		if got := tc.config.WantsCache(tc.reason); got != tc.want {
			t.Errorf("%+v: WantsCache(%v) = %v, want %v", tc.config, tc.reason, got, !got)
		}
	}
}

func TestNamesOfSources(t *testing.T) {
	for source, want := range map[Source]string{
		FromUpstream: "upstream", FromError: "error", FromCache: "cache", FromStaleCache: "stale_cache",
		FromDefault: "default", FromDegraded: "degraded",
	} {
		if got := source.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
