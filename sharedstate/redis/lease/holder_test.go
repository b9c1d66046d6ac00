package lease

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis"
)

const ms = int64(time.Millisecond)

var tenASecond = redis.NewSlidingWindow(10, time.Second, 100*time.Millisecond)

func newHolder(limit *redis.Limit, c Config) *Holder {
	return NewHolder(NewWorker("h", "p", 50*time.Millisecond, 1), limit, c)
}

// reply is one that grants n and leaves left.
func reply(n, left int64) redis.Reply {
	r := redis.Reply{At: 1_764_000_000_000_000, Granted: n, Remaining: left, Limit: 10, Live: 1}
	if left == 0 {
		r.RetryAfter = 200 * time.Millisecond
	}
	return r
}

// nextCall is the call that is due.
func nextCall(t *testing.T, h *Holder, now int64) redis.LeaseRequest {
	t.Helper()
	next, _, ok := h.NextCall(now)
	if !ok {
		t.Fatalf("NextCall at %d ms: got none, want one", now/ms)
	}
	request := *next
	request.Settled = slices.Clone(next.Settled)
	return request
}

func take(t *testing.T, h *Holder, now int64, want Decision, callDue bool) Verdict {
	t.Helper()
	v := h.Take(now)
	if v.Decision != want || v.CallDue != callDue {
		t.Fatalf("Take at %d ms: got %v, call due %v, want %v, %v", now/ms, v.Decision, v.CallDue, want, callDue)
	}
	return v
}

func checkDecisions(t *testing.T, got, want Decisions) {
	t.Helper()
	if got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

// checkSettled checks that a call settles one lease, of which so many tokens were used.
func checkSettled(t *testing.T, call redis.LeaseRequest, number, used int64) {
	t.Helper()
	if len(call.Settled) != 1 || call.Settled[0].Number != number || call.Settled[0].Used() != used {
		t.Fatalf("got settlements %+v, want one of lease %d with %d uses", call.Settled, number, used)
	}
}

func TestOneCallForAllWaitingRequests(t *testing.T) {
	h := newHolder(tenASecond, Config{MaxWaiters: 3})
	take(t, h, 1, Waiting, true)
	take(t, h, 1, Waiting, false)
	first := nextCall(t, h, 1)
	if first.Need != 2 || first.Want != 2 || first.Holder != "h" || first.Proxy != "p" || len(first.Settled) != 0 {
		t.Fatalf("got %+v, want a call of h in p for 2 tokens", first)
	}
	if second, _, ok := h.NextCall(1); ok {
		t.Fatalf("while a call is pending: got %+v, want none", second)
	}
	take(t, h, ms, Waiting, false)
	take(t, h, ms, QueueFull, false)
	h.CancelWaiting(1)
	take(t, h, ms, Waiting, false)
	checkDecisions(t, h.Reply(first.Number, reply(2, 5), 2*ms), Decisions{Granted: 2, CallDue: true})
	second := nextCall(t, h, 2*ms)
	if second.Number <= first.Number || second.Need != 1 {
		t.Fatalf("got %+v, want a call after number %d for 1 token", second, first.Number)
	}
	checkSettled(t, second, first.Number, 2)
	if got := second.Settled[0].Uses[0].Offset; got < 2000 || got > 2000+100_000/64+1 {
		t.Fatalf("got a use after %d µs, want 2000, rounded up", got)
	}
	got := h.Reply(second.Number, reply(0, 0), 3*ms)
	if got.RetryAfter < 200*time.Millisecond {
		t.Fatalf("got %v, want at least 200 ms", got.RetryAfter)
	}
	checkDecisions(t, got, Decisions{Refused: 1, RetryAfter: got.RetryAfter})
	v := take(t, h, 100*ms, Refused, false)
	if v.RetryAfter < 103*time.Millisecond || v.RetryAfter > 108*time.Millisecond {
		t.Fatalf("got %v, want 103 to 108 ms", v.RetryAfter)
	}
	take(t, h, 209*ms, Waiting, true)
}

func TestNoTokenIsUsedAfterItsLifetime(t *testing.T) {
	for _, tc := range []struct {
		name string
		at   int64
		want Decision
	}{
		{"in time", 100*ms - 1000 - 1, Granted},
		{"a microsecond before the end, as Redis's clock is that coarse", 100*ms - 1000, Waiting},
		{"after", 150 * ms, Waiting},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHolder(tenASecond, Config{MaxWaiters: 9})
			take(t, h, 1, Waiting, true)
			first := nextCall(t, h, 1)
			checkDecisions(t, h.Reply(first.Number, reply(3, 5), ms), Decisions{Granted: 1})
			if held := h.Held(tc.at + 1); (held > 0) != (tc.want == Granted) {
				t.Errorf("Held: got %d", held)
			}
			if v := h.Take(tc.at + 1); v.Decision != tc.want {
				t.Errorf("Take: got %v, want %v", v.Decision, tc.want)
			}
			if tc.want == Waiting {
				checkSettled(t, nextCall(t, h, tc.at+1), first.Number, 1)
			}
		})
	}
	t.Run("the reply comes too late", func(t *testing.T) {
		h := newHolder(tenASecond, Config{MaxWaiters: 9})
		take(t, h, 1, Waiting, true)
		first := nextCall(t, h, 1)
		checkDecisions(t, h.Reply(first.Number, reply(3, 5), 100*ms), Decisions{Failed: 1})
		checkDecisions(t, h.Tick(110*ms), Decisions{CallDue: true})
		second := nextCall(t, h, 110*ms)
		checkSettled(t, second, first.Number, 0)
		if second.Want != 0 || second.Settled[0].At == 0 {
			t.Fatalf("got %+v, want a call that only gives the lease back", second)
		}
	})
}

func TestLateAndLostReplies(t *testing.T) {
	h := newHolder(tenASecond, Config{MaxWaiters: 9})
	take(t, h, 1, Waiting, true)
	first := nextCall(t, h, 1)
	checkDecisions(t, h.Tick(99*ms), Decisions{})
	checkDecisions(t, h.Tick(100*ms+1), Decisions{Failed: 1, CallDue: true}) // twice the timeout
	checkDecisions(t, h.Reply(first.Number, reply(1, 5), 101*ms), Decisions{Late: true})
	checkDecisions(t, h.Fail(first.Number, redis.OfRedis, 101*ms), Decisions{Late: true})
	second := nextCall(t, h, 101*ms)
	if second.Want != 0 || len(second.Settled) != 1 || second.Settled[0] != (redis.Settlement{Number: first.Number}) {
		t.Fatalf("got %+v, want a call that only settles lease %d", second, first.Number)
	}
	checkDecisions(t, h.Fail(second.Number, redis.OfRedis, 102*ms), Decisions{})
	// The lost settlement is reported again when Redis may be called again.
	now := 102 * ms
	for !h.Tick(now).CallDue {
		if now += 10 * ms; now > 1000*ms {
			t.Fatal("got no probe in a second, want one")
		}
	}
	third := nextCall(t, h, now)
	checkSettled(t, third, first.Number, 0)
	h.Reply(third.Number, reply(0, 5), now+ms)
	if !h.Idle(now + ms) {
		t.Fatalf("Idle: got false, want true: %+v", h)
	}
}

// TestRedisDown has no Redis: a request waits for it twice, and no more until it is back.
func TestRedisDown(t *testing.T) {
	h := newHolder(tenASecond, Config{MaxWaiters: 9})
	waited, probes, now := 0, 0, int64(1)
	for ; now < 20_000*ms; now += ms {
		v := h.Take(now)
		if v.CallDue {
			a := nextCall(t, h, now)
			if v.Decision == Waiting {
				waited++
				now += 50 * ms
			} else {
				probes++
			}
			h.Fail(a.Number, redis.OfRedis, now)
		}
	}
	if waited != threshold || probes < 30 || probes > 45 {
		t.Fatalf("in 20 s: got %d waiting requests, %d probes, want %d, 30 to 45", waited, probes, threshold)
	}
	for ; ; now += ms { // back
		if v := take(t, h, now, RedisDown, h.w.breaker.at(now) == breakerHalfOpen); v.CallDue {
			break
		}
	}
	a := nextCall(t, h, now)
	take(t, h, now, RedisDown, false) // no request waits for a probe
	h.Reply(a.Number, reply(0, 10), now+ms)
	take(t, h, now+2*ms, Waiting, true)
}

// TestSteadyTraffic has 2,500 requests a second, below the limit: only the first few wait, and there are few calls.
func TestSteadyTraffic(t *testing.T) {
	limit := redis.NewSlidingWindow(100_000, 10*time.Second, 500*time.Millisecond)
	h := newHolder(limit, Config{MaxWaiters: 100})
	waits, calls, requests := 0, 0, 0
	var out *redis.LeaseRequest
	var due int64
	call := func(now int64) {
		calls++
		out, _, _ = h.NextCall(now)
		due = now + ms
	}
	for now := int64(1); now < 10_000*ms; now += 400_000 {
		if out != nil && now >= due {
			r := redis.Reply{At: 1 + now/1000, Granted: out.Want, Remaining: 50_000, Limit: 100_000, Live: 4}
			out = nil
			if h.Reply(h.pending.number, r, now).CallDue {
				call(now)
			}
		}
		requests++
		v := h.Take(now)
		if v.Decision == Waiting {
			waits++
		}
		if v.CallDue {
			call(now)
		}
	}
	if waits > 60 || float64(calls) > 0.005*float64(requests) {
		t.Fatalf("of %d requests: got %d waiting, %d calls, want at most 60, 0.5 %%", requests, waits, calls)
	}
	t.Logf("of %d requests %d waited, %d calls", requests, waits, calls)
}

func TestMaxTokensOne(t *testing.T) {
	limit := redis.NewSlidingWindow(1000, 10*time.Second, 500*time.Millisecond)
	h := newHolder(limit, Config{MaxTokens: 1, MaxWaiters: 100})
	for now := int64(1); now < 500*ms; now += ms {
		take(t, h, now, Waiting, true)
		a := nextCall(t, h, now)
		if a.Want != 1 {
			t.Fatalf("got a call for %d tokens, want 1", a.Want)
		}
		r := redis.Reply{At: 1, Granted: 1, Remaining: 5, Limit: 1000, Live: 1}
		checkDecisions(t, h.Reply(a.Number, r, now+500_000), Decisions{Granted: 1})
	}
}

// TestUses compares the reported uses with the real ones: each token at its time or later, at most the lease's
// lifetime.
func TestUses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ttl, step := int64(100_000), rapid.SampledFrom([]int64{1, 1562}).Draw(t, "step")
		var l lease
		var times []int64
		at := int64(0)
		for range rapid.IntRange(0, 40).Draw(t, "uses") {
			at = min(at+rapid.Int64Range(0, 8000).Draw(t, "later"), ttl)
			n := rapid.Int64Range(1, 3).Draw(t, "n")
			l.use(at, step, ttl, n)
			for range n {
				times = append(times, at)
			}
		}
		var reported []int64
		for _, u := range l.out.Uses[:l.out.Len] {
			for range u.Tokens {
				reported = append(reported, u.Offset)
			}
		}
		if len(reported) != len(times) || !slices.IsSorted(reported) {
			t.Fatalf("got reported %v, want the times %v or later", reported, times)
		}
		for i := range reported {
			if reported[i] < times[i] || reported[i] > ttl {
				t.Fatalf("got reported %v, want the times %v or later", reported, times)
			}
		}
	})
}

func TestTakeAllocatesNothing(t *testing.T) {
	h := newHolder(redis.NewSlidingWindow(1e6, 100*time.Second, 10*time.Second), Config{MaxWaiters: 9})
	h.Take(1)
	a, _, _ := h.NextCall(1)
	h.Reply(a.Number, redis.Reply{At: 1, Granted: 1e6, Remaining: 5, Limit: 1e6, Live: 1}, 2)
	h.open[0].left = 1e6
	now := int64(3)
	if n := testing.AllocsPerRun(1000, func() {
		now += 1000
		if v := h.Take(now); v.Decision != Granted {
			t.Fatalf("got %+v, want granted", v)
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkTake(b *testing.B) {
	h := newHolder(redis.NewSlidingWindow(1e6, 100*time.Second, 10*time.Second), Config{MaxWaiters: 9})
	h.Take(1)
	a, _, _ := h.NextCall(1)
	h.Reply(a.Number, redis.Reply{At: 1, Granted: 1e6, Remaining: 5, Limit: 1e6, Live: 1}, 2)
	now := int64(3)
	for b.Loop() {
		h.open[0].left = 1e6
		now += 10
		h.Take(now)
	}
}

// TestSetIsBounded has requests with a million keys.
func TestSetIsBounded(t *testing.T) {
	w := NewWorker("h", "p", 50*time.Millisecond, 1)
	s := NewSet(w, tenASecond, Config{MaxWaiters: 1}, "weir:", "a", 100)
	now, shared, numbers := int64(1), 0, map[int64]bool{}
	serve := func(m *Member) {
		a, _, ok := m.NextCall(now)
		if !ok {
			return
		}
		if numbers[a.Number] {
			t.Fatalf("got call number %d twice, want new numbers", a.Number)
		}
		numbers[a.Number] = true
		m.Reply(a.Number, reply(a.Want, 5), now)
	}
	for i := range uint64(1_000_000) {
		now += 10_000
		m := s.Get(sharedstate.Fingerprint{Hi: i, Lo: i})
		if m != s.Find(sharedstate.Fingerprint{Hi: i, Lo: i}) {
			t.Fatalf("Find(%d): got another member than Get", i)
		}
		if m == &s.shared {
			shared++
		}
		if i%50 == 0 {
			if v := m.Take(now); v.CallDue {
				serve(m)
			}
		}
		if i%1000 == 0 {
			s.Tick(now, 32, func(m *Member, a Decisions) {
				if a.CallDue {
					serve(m)
				}
			})
		}
		if s.Len() > 100 || len(s.order) != s.Len() || len(s.free) > 64 {
			t.Fatalf("got %d members, %d in order, %d free, want at most 100, as many, 64", s.Len(), len(s.order), len(s.free))
		}
	}
	if shared == 0 || shared == 1_000_000 {
		t.Errorf("got %d keys that share a holder, want some, not all", shared)
	}
	for range 100 {
		now += 100 * ms
		s.Tick(now, 32, func(m *Member, a Decisions) {
			if a.CallDue {
				serve(m)
			}
		})
	}
	if s.Len() != 0 {
		t.Errorf("after 10 s: got %d members, want 0", s.Len())
	}
}

func TestShare(t *testing.T) {
	for _, tc := range []struct{ limit, live, want int64 }{{100, 4, 25}, {100, 3, 33}, {100, 0, 100}, {3, 10, 1}} {
		if got := Share(tc.limit, tc.live); got != tc.want {
			t.Errorf("Share(%d, %d) = %d, want %d", tc.limit, tc.live, got, tc.want)
		}
	}
}

// TestScopesOfFailures: what a failure concerns is not called for a while, and what is beyond is called as before.
func TestScopesOfFailures(t *testing.T) {
	one, two := sharedstate.Fingerprint{Lo: 1}, sharedstate.Fingerprint{Lo: 2}
	for _, tc := range []struct {
		scope             redis.Scope
		sibling, stranger Decision // of another key of the limit, of another limit
	}{
		{redis.OfRecord, Waiting, Waiting},
		{redis.OfLimit, RedisDown, Waiting},
		{redis.OfRedis, RedisDown, RedisDown},
	} {
		w := NewWorker("w", "p", 50*time.Millisecond, 1)
		keys := NewSet(w, tenASecond, Config{MaxWaiters: 9}, "weir:", "aws", 100)
		broken, sibling := &keys.Get(one).Holder, &keys.Get(two).Holder
		stranger := NewHolder(w, tenASecond, Config{MaxWaiters: 9})
		now := int64(1)
		for range threshold {
			take(t, broken, now, Waiting, true)
			a := nextCall(t, broken, now)
			checkDecisions(t, broken.Fail(a.Number, tc.scope, now), Decisions{Failed: 1})
		}
		for n := range 1000 { // no hot loop
			take(t, broken, now+int64(n), RedisDown, false)
		}
		if broken.Idle(now) && tc.scope == redis.OfRecord {
			t.Error("Idle: got true with an open breaker, want false: the next holder would not have it")
		}
		take(t, sibling, now, tc.sibling, tc.sibling == Waiting)
		take(t, stranger, now, tc.stranger, tc.stranger == Waiting)
		if tc.stranger == Waiting {
			stranger.Reply(nextCall(t, stranger, now).Number, reply(1, 5), now)
			take(t, broken, now, RedisDown, false) // another limit's reply says nothing of this one
		}
		now += 2 * firstWait // then one probe, which succeeds
		take(t, broken, now, RedisDown, true)
		a := nextCall(t, broken, now)
		if tc.scope != redis.OfRecord {
			take(t, sibling, now, RedisDown, false)
		}
		broken.Reply(a.Number, reply(0, 5), now)
		take(t, broken, now, Waiting, true)
	}
}
