package lease

import "github.com/weir-mesh/weir/sharedstate/redis"

// lease is tokens that Redis granted. They are used before sent + ttl only.
type lease struct {
	sent int64 // before the call for it was sent, ns
	left int64
	out  redis.Settlement // is reported when the lease is closed
}

// use takes n tokens at a time of elapsed µs after sent, at most ttl. Times are rounded up to a multiple of step. At
// most redis.MaxUses of them are kept: for one more, the two neighbours are merged for which that costs least.
func (l *lease) use(elapsed, step, ttl, n int64) {
	l.left -= n
	s := &l.out
	elapsed = min((elapsed+step-1)/step*step, ttl)
	if s.Len > 0 && s.Uses[s.Len-1].Offset >= elapsed {
		s.Uses[s.Len-1].Tokens += n
		return
	}
	if s.Len == redis.MaxUses {
		merge(s)
	}
	s.Uses[s.Len] = redis.Use{Offset: elapsed, Tokens: n}
	s.Len++
}

// merge adds one time of use to the next one, as a token must not count from before it was used. The cost is the tokens
// of the first, multiplied by the time between the two.
func merge(s *redis.Settlement) {
	best, least := 0, int64(-1)
	for i := range s.Len - 1 {
		cost := s.Uses[i].Tokens * (s.Uses[i+1].Offset - s.Uses[i].Offset)
		if least < 0 || cost < least {
			best, least = i, cost
		}
	}
	s.Uses[best+1].Tokens += s.Uses[best].Tokens
	copy(s.Uses[best:], s.Uses[best+1:s.Len])
	s.Len--
}
