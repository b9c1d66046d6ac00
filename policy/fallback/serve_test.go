package fallback

import (
	"testing"
	"time"
)

func TestServingMoments(t *testing.T) {
	const (
		none   = uint32(NoSeconds)
		second = time.Second
		cache  = FromCache
		stale  = FromStaleCache
		never  = FromError
	)
	type moment struct {
		age  time.Duration
		want Source
	}
	for _, tc := range []struct {
		name              string
		ttl, staleness    time.Duration
		lifetime, staleIf uint32
		moments           []moment
	}{
		{"as it is configured", 300 * second, 3600 * second, none, none, []moment{
			{0, cache},
			{300 * second, cache},
			{300*second + 1, stale},
			{3600 * second, stale},
			{3600*second + 1, never},
		}},
		{"parts of a second", 300 * time.Millisecond, 900 * time.Millisecond, none, none, []moment{
			{300 * time.Millisecond, cache},
			{300*time.Millisecond + 1, stale},
			{900 * time.Millisecond, stale},
			{900*time.Millisecond + 1, never},
		}},
		{"a lifetime below the ttl", 300 * second, 3600 * second, 10, none, []moment{
			{10 * second, cache},
			{10*second + 1, stale},
			{3600 * second, stale},
			{3600*second + 1, never},
		}},
		{"a lifetime above the ttl", 300 * second, 3600 * second, 600, none, []moment{
			{300 * second, cache},
			{300*second + 1, stale},
			{3600 * second, stale},
		}},
		{"stale at once", 300 * second, 3600 * second, 0, none, []moment{
			{0, stale},
			{3600 * second, stale},
			{3600*second + 1, never},
		}},
		{"stale-if-error after a lifetime", 300 * second, 3600 * second, 10, 5, []moment{
			{10 * second, cache},
			{15 * second, stale},
			{15*second + 1, never},
		}},
		{"stale-if-error after no lifetime", 300 * second, 3600 * second, none, 5, []moment{
			{300 * second, cache},
			{305 * second, stale},
			{305*second + 1, never},
		}},
		{"stale-if-error after a lifetime above the ttl", 300 * second, 3600 * second, 600, 5, []moment{
			{300 * second, cache},
			{605 * second, stale},
			{605*second + 1, never},
		}},
		{"stale-if-error=0: never stale", 300 * second, 3600 * second, 10, 0, []moment{
			{10 * second, cache},
			{10*second + 1, never},
		}},
		{"stale-if-error=0, and stale at once", 300 * second, 3600 * second, 0, 0, []moment{{0, never}, {1, never}}},
		{"stale-if-error beyond the threshold", 300 * second, 3600 * second, 10, 1 << 31, []moment{
			{3600 * second, stale},
			{3600*second + 1, never},
		}},
		{"the largest of both", 300 * second, 3600 * second, none - 1, none - 1, []moment{
			{300 * second, cache},
			{3600 * second, stale},
			{3600*second + 1, never},
		}},
		{"no ttl: all is stale", 0, 3600 * second, none, none, []moment{{0, stale}, {3600 * second, stale}, {3600*second + 1, never}}},
		{"no time at all", 0, 0, none, none, []moment{{0, never}, {1, never}}},
		{"a clock that went back", 300 * second, 3600 * second, none, none, []moment{{-second, cache}}},
	} {
		r := NewCacheRules(tc.ttl, tc.staleness, nil, false)
		for _, m := range tc.moments {
			if got := r.Serve(int64(m.age), tc.lifetime, tc.staleIf).Source; got != m.want {
				t.Errorf("%s: at %v: got %v, want %v", tc.name, m.age, got, m.want)
			}
		}
	}
}

func TestHeadersOfAServedAnswer(t *testing.T) {
	for _, tc := range []struct {
		age      time.Duration
		lifetime uint32
		seconds  int64
		status   string
	}{
		{0, NoSeconds, 0, "weir; hit; ttl=300"},
		{-time.Second, NoSeconds, 0, "weir; hit; ttl=300"},
		{1500 * time.Millisecond, NoSeconds, 1, "weir; hit; ttl=298"},
		{300 * time.Second, NoSeconds, 300, "weir; hit; ttl=0"},
		{300*time.Second + 1, NoSeconds, 300, "weir; hit; ttl=-1"},
		{301 * time.Second, NoSeconds, 301, "weir; hit; ttl=-1"},
		{302 * time.Second, NoSeconds, 302, "weir; hit; ttl=-2"},
		{9 * time.Second, 10, 9, "weir; hit; ttl=1"},
		{20 * time.Second, 10, 20, "weir; hit; ttl=-10"},
	} {
		s := rules().Serve(int64(tc.age), tc.lifetime, NoSeconds)
		if got := s.CacheStatus(0); got != tc.status || s.Age != tc.seconds {
			t.Errorf("%v: got %s and age %d, want %s and %d", tc.age, got, s.Age, tc.status, tc.seconds)
		}
	}
}

func TestCacheStatusOfForwarded(t *testing.T) {
	for _, tc := range []struct {
		served    Served
		forwarded int
		want      string
	}{
		{Served{Source: FromCache, TTL: 7}, 0, "weir; hit; ttl=7"},
		{Served{Source: FromStaleCache, TTL: -7}, 0, "weir; hit; ttl=-7"},
		{Served{Source: FromCache, TTL: 7}, 503, "weir; fwd=bypass; fwd-status=503; ttl=7"},
		{Served{Source: FromStaleCache, TTL: -7}, 504, "weir; fwd=stale; fwd-status=504; ttl=-7"},
	} {
		if got := tc.served.CacheStatus(tc.forwarded); got != tc.want {
			t.Errorf("%+v.CacheStatus(%d) = %s, want %s", tc.served, tc.forwarded, got, tc.want)
		}
	}
}
