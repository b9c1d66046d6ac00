package lease

import (
	"testing"
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
)

// newSplit is a worker's way to so many shards, from the first on.
func newSplit(n int) *Split {
	parts := make([]*Part, n)
	for i := range parts {
		parts[i] = NewPart(newHolder(tenASecond, Config{MaxWaiters: 10}), nil)
	}
	return NewSplit(parts, 0)
}

func takeOfShard(t *testing.T, s *Split, now int64, shard int, want Decision) (Source, Verdict) {
	t.Helper()
	got, from, v := s.Take(now)
	if v.Decision != want || (want != Refused && got != shard) {
		t.Fatalf("Take at %d ms: got %v of shard %d, want %v of %d", now/ms, v.Decision, got, want, shard)
	}
	return from, v
}

// answer is Redis's reply to the call that is due: n tokens, and left.
func answer(t *testing.T, from Source, now, n, left int64) Decisions {
	t.Helper()
	request, _, ok := from.NextCall(now)
	if !ok {
		t.Fatalf("at %d ms: got no call, want one", now/ms)
	}
	return from.Reply(request.Number, reply(n, left), now)
}

// TestSplitTakesFromOneShardAfterAnother: a shard is asked until it has no token left, then the next is.
func TestSplitTakesFromOneShardAfterAnother(t *testing.T) {
	s := newSplit(3)
	from, _ := takeOfShard(t, s, 1, 0, Waiting)
	checkDecisions(t, answer(t, from, 1, 2, 0), Decisions{Granted: 1})
	takeOfShard(t, s, 2, 0, Granted) // its second token
	from, _ = takeOfShard(t, s, 3, 1, Waiting)
	if got := answer(t, from, 3, 0, 0); got.Refused != 1 {
		t.Fatalf("got %+v, want the request to be refused by that shard", got)
	}
	from, _ = takeOfShard(t, s, 4, 2, Waiting)
	answer(t, from, 4, 1, 0)
	_, v := takeOfShard(t, s, 5, 0, Refused)
	if v.RetryAfter <= 0 || v.RetryAfter > 210*time.Millisecond {
		t.Errorf("got RetryAfter %v, want that of the shard that has a token first, 200 ms and a little", v.RetryAfter)
	}
}

// TestSplitWithoutAServer: the shards of a server that can't be reached are passed over, those of others are used.
func TestSplitWithoutAServer(t *testing.T) {
	s := newSplit(2)
	now := ms
	for range 2 { // failures open the breaker of the first shard
		from, _ := takeOfShard(t, s, now, 0, Waiting)
		request, _, _ := from.NextCall(now)
		from.Fail(request.Number, redis.OfRedis, now)
		now += ms
	}
	from, _ := takeOfShard(t, s, now, 1, Waiting)
	checkDecisions(t, answer(t, from, now, 1, 0), Decisions{Granted: 1})
	takeOfShard(t, s, now+ms, 1, Refused) // not RedisDown, for which on_error might admit more than is left
}
