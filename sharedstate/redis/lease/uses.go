package lease

import "github.com/weir-mesh/weir/sharedstate/redis"

// lease is tokens that Redis granted. Nothing of it is used from sent + ttl on.
type lease struct {
	sent int64 // before the call for it was sent, ns
	left int64
	out  redis.Settlement // what is reported once it is done with
}

// use takes n tokens at a time of elapsed µs after sent, at most ttl. Times are told apart in steps, and there are at
// most redis.MaxUses of them: where one more comes, the two neighbours are merged that cost least.
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

// merge lets one time of use count as the next: no token counts from before it was used. It costs the tokens of the one,
// for the time between the two.
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
