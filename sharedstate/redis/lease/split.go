package lease

import "math"

// Split is a worker's part of a limit that is split into shards, each of which is in a slot of a Redis Cluster of its own. It
// takes tokens from one shard until that has none left, then from the next:
//
//	         at
//	         ▼
//	┌──────┬──────┬──────┐
//	│ 5/s  │ 5/s  │ 5/s  │    15/s. Workers begin at different shards
//	└──────┴──────┴──────┘
//
// Each shard admits no more than its share, so together they admit no more than the limit. A request is refused where all
// shards refuse it. Redis's calls for a shard are those of a limit of its size.
type Split struct {
	shards []*Part
	at     int
}

// NewSplit is a worker's way to these shards, of a number drawn at random.
func NewSplit(shards []*Part, random uint64) *Split {
	return &Split{shards: shards, at: int(random % uint64(len(shards)))}
}

// Take requests one token at time now. A request that waits does so at from, of this shard.
func (s *Split) Take(now int64) (shard int, from Source, v Verdict) {
	if len(s.shards) == 1 {
		from, v = s.shards[0].Take(now)
		return 0, from, v
	}
	if i, ok := s.holds(now); ok {
		from, v = s.shards[i].Take(now)
		if v.Decision == Granted || v.Decision == Waiting { // of a pool, other workers may have taken them
			return i, from, v
		}
	}
	refused := Verdict{RetryAfter: math.MaxInt64}
	for range s.shards {
		from, v = s.shards[s.at].Take(now)
		switch v.Decision {
		case Granted, Waiting:
			return s.at, from, v
		case Refused:
			refused.Decision, refused.RetryAfter = Refused, min(refused.RetryAfter, v.RetryAfter)
		case QueueFull, RedisDown: // a probe that is due is announced by the next tick
		}
		s.at = (s.at + 1) % len(s.shards)
	}
	if refused.Decision == Refused { // the tokens of a shard that can't be reached can't be had
		return s.at, from, refused
	}
	return s.at, from, v
}

// holds is the first shard of which this worker has tokens.
func (s *Split) holds(now int64) (shard int, ok bool) {
	for i := range s.shards {
		shard = (s.at + i) % len(s.shards)
		if s.shards[shard].Held(now) > 0 {
			return shard, true
		}
	}
	return 0, false
}

// Len is the number of shards.
func (s *Split) Len() int { return len(s.shards) }

// Shard is one of them.
func (s *Split) Shard(i int) *Part { return s.shards[i] }
