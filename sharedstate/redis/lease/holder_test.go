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

// ask has a holder make the call that is due.
func ask(t *testing.T, h *Holder, now int64) redis.LeaseRequest {
	t.Helper()
	a, _, ok := h.NextCall(now)
	if !ok {
		t.Fatalf("at %d ms: no call is due", now/ms)
	}
	b := *a
	b.Settled = slices.Clone(a.Settled)
	return b
}

func take(t *testing.T, h *Holder, now int64, want Decision, call bool) Verdict {
	t.Helper()
	v := h.Take(now)
	if v.Decision != want || v.CallDue != call {
		t.Fatalf("at %d ms: got %v, call %v, want %v, %v", now/ms, v.Decision, v.CallDue, want, call)
	}
	return v
}

func TestOneCallForAllWhoWait(t *testing.T) {
	h := newHolder(tenASecond, Config{MaxWaiters: 3})
	take(t, h, 1, Waiting, true)
	take(t, h, 1, Waiting, false)
	a := ask(t, h, 1)
	if a.Need != 2 || a.Want != 2 || a.Holder != "h" || a.Proxy != "p" || len(a.Settled) != 0 {
		t.Fatalf("%+v", a)
	}
	if _, _, ok := h.NextCall(1); ok {
		t.Fatal("two calls at a time")
	}
	take(t, h, ms, Waiting, false)
	take(t, h, ms, QueueFull, false)
	h.CancelWaiting(1)
	take(t, h, ms, Waiting, false)
	if got := h.Reply(a.Number, reply(2, 5), 2*ms); got != (Decisions{Granted: 2, CallDue: true}) {
		t.Fatalf("%+v", got)
	}
	b := ask(t, h, 2*ms)
	if b.Number <= a.Number || b.Need != 1 || len(b.Settled) != 1 || b.Settled[0].Number != a.Number || b.Settled[0].Used() != 2 {
		t.Fatalf("%+v", b)
	}
	if off := b.Settled[0].Uses[0].Offset; off < 2000 || off > 2000+100_000/64+1 {
		t.Fatalf("used %d µs after it was asked for, in truth 2000", off)
	}
	if got := h.Reply(b.Number, reply(0, 0), 3*ms); got.Refused != 1 || got.RetryAfter < 200*time.Millisecond || got.CallDue {
		t.Fatalf("%+v", got)
	}
	v := take(t, h, 100*ms, Refused, false)
	if v.RetryAfter < 103*time.Millisecond || v.RetryAfter > 108*time.Millisecond {
		t.Fatalf("%+v", v)
	}
	take(t, h, 209*ms, Waiting, true)
}

func TestNoTokenIsUsedAfterItsLife(t *testing.T) {
	for _, tc := range []struct {
		name   string
		late   int64 // of the reply
		at     int64
		served bool
	}{
		{"in time", ms, 100*ms - 1000 - 1, true},
		{"a microsecond before the end: Redis's clock is that coarse", ms, 100*ms - 1000, false},
		{"after", ms, 150 * ms, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHolder(tenASecond, Config{MaxWaiters: 9})
			take(t, h, 1, Waiting, true)
			a := ask(t, h, 1)
			if got := h.Reply(a.Number, reply(3, 5), tc.late); got.Granted != 1 {
				t.Fatalf("%+v", got)
			}
			want := Waiting
			if tc.served {
				want = Granted
			}
			if held := h.Held(tc.at + 1); (held > 0) != tc.served {
				t.Errorf("%d held", held)
			}
			if v := h.Take(tc.at + 1); v.Decision != want {
				t.Errorf("%+v", v)
			}
			if want == Waiting {
				b := ask(t, h, tc.at+1)
				if len(b.Settled) != 1 || b.Settled[0].Used() != 1 {
					t.Errorf("%+v", b)
				}
			}
		})
	}
	t.Run("the reply itself", func(t *testing.T) {
		h := newHolder(tenASecond, Config{MaxWaiters: 9})
		take(t, h, 1, Waiting, true)
		a := ask(t, h, 1)
		if got := h.Reply(a.Number, reply(3, 5), 100*ms); got != (Decisions{Failed: 1}) {
			t.Fatalf("%+v", got)
		}
		if got := h.Tick(110 * ms); !got.CallDue {
			t.Fatalf("%+v: what was not used goes back", got)
		}
		if b := ask(t, h, 110*ms); b.Want != 0 || len(b.Settled) != 1 || b.Settled[0].Used() != 0 || b.Settled[0].At == 0 {
			t.Fatalf("%+v", b)
		}
	})
}

func TestLateAndLost(t *testing.T) {
	h := newHolder(tenASecond, Config{MaxWaiters: 9})
	take(t, h, 1, Waiting, true)
	a := ask(t, h, 1)
	if got := h.Tick(99 * ms); got != (Decisions{}) {
		t.Fatalf("%+v", got)
	}
	if got := h.Tick(100*ms + 1); got.Failed != 1 || !got.CallDue {
		t.Fatalf("a call that nobody ends: %+v", got)
	}
	if got := h.Reply(a.Number, reply(1, 5), 101*ms); !got.Late || got.Granted != 0 {
		t.Fatalf("%+v", got)
	}
	if got := h.Fail(a.Number, 101*ms); !got.Late {
		t.Fatalf("%+v", got)
	}
	b := ask(t, h, 101*ms)
	if b.Want != 0 || len(b.Settled) != 1 || b.Settled[0] != (redis.Settlement{Number: a.Number}) {
		t.Fatalf("%+v", b)
	}
	if got := h.Fail(b.Number, 102*ms); got.Failed != 0 {
		t.Fatalf("%+v", got)
	}
	// What was told in vain is told again, once Redis may be called.
	for now := 102 * ms; ; now += 10 * ms {
		if now > 1000*ms {
			t.Fatal("no probe")
		}
		if h.Tick(now).CallDue {
			c := ask(t, h, now)
			if len(c.Settled) != 1 || c.Settled[0].Number != a.Number {
				t.Fatalf("%+v", c)
			}
			h.Reply(c.Number, reply(0, 5), now+ms)
			if !h.Idle(now + ms) {
				t.Fatal("not done")
			}
			return
		}
	}
}

// TestDown is a Redis that is gone: a request waits for it twice, and no more until it is back.
func TestDown(t *testing.T) {
	h := newHolder(tenASecond, Config{MaxWaiters: 9})
	waited, probes, now := 0, 0, int64(1)
	for ; now < 20_000*ms; now += ms {
		v := h.Take(now)
		if v.CallDue {
			a := ask(t, h, now)
			if v.Decision == Waiting {
				waited++
				now += 50 * ms
			} else {
				probes++
			}
			h.Fail(a.Number, now)
		}
	}
	if waited != threshold || probes < 30 || probes > 45 {
		t.Fatalf("%d waited, %d probes in 20 s", waited, probes)
	}
	for ; ; now += ms { // back
		if v := take(t, h, now, RedisDown, h.w.breaker.at(now) == breakerHalfOpen); v.CallDue {
			break
		}
	}
	a := ask(t, h, now)
	take(t, h, now, RedisDown, false) // nobody waits for a probe
	h.Reply(a.Number, reply(0, 10), now+ms)
	take(t, h, now+2*ms, Waiting, true)
}

// TestSteadyTraffic is 2,500 requests a second below the limit: none waits but the first few, and calls are few.
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
			a := h.Reply(out.Number, redis.Reply{At: 1 + now/1000, Granted: out.Want, Remaining: 50_000, Limit: 100_000, Live: 4}, now)
			out = nil
			if a.CallDue {
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
		t.Fatalf("of %d requests %d waited, %d calls", requests, waits, calls)
	}
	t.Logf("of %d requests %d waited, %d calls", requests, waits, calls)
}

func TestMaxTokensOne(t *testing.T) {
	h := newHolder(redis.NewSlidingWindow(1000, 10*time.Second, 500*time.Millisecond), Config{MaxTokens: 1, MaxWaiters: 100})
	for now := int64(1); now < 500*ms; now += ms {
		take(t, h, now, Waiting, true)
		a := ask(t, h, now)
		if a.Want != 1 {
			t.Fatalf("%+v", a)
		}
		if got := h.Reply(a.Number, redis.Reply{At: 1, Granted: 1, Remaining: 5, Limit: 1000, Live: 1}, now+500_000); got != (Decisions{Granted: 1}) {
			t.Fatalf("%+v", got)
		}
	}
}

// TestUses holds what is reported to what was used: each token at its time or later, at most the lease's life.
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
		var told []int64
		for _, u := range l.out.Uses[:l.out.Len] {
			for range u.Tokens {
				told = append(told, u.Offset)
			}
		}
		if len(told) != len(times) || !slices.IsSorted(told) {
			t.Fatalf("used at %v, told %v", times, told)
		}
		for i := range told {
			if told[i] < times[i] || told[i] > ttl {
				t.Fatalf("used at %v, told %v", times, told)
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
			t.Fatalf("%+v", v)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
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

// TestSetIsBounded asks for a million keys.
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
			t.Fatalf("call %d twice", a.Number)
		}
		numbers[a.Number] = true
		m.Reply(a.Number, reply(a.Want, 5), now)
	}
	for i := range uint64(1_000_000) {
		now += 10_000
		m := s.Get(sharedstate.Fingerprint{Hi: i, Lo: i})
		if m != s.Find(sharedstate.Fingerprint{Hi: i, Lo: i}) {
			t.Fatal("another member is found")
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
			t.Fatalf("%d members, %d in order, %d free", s.Len(), len(s.order), len(s.free))
		}
	}
	if shared == 0 || shared == 1_000_000 {
		t.Errorf("%d shared a limit", shared)
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
		t.Errorf("%d members are never let go of", s.Len())
	}
}

func TestShare(t *testing.T) {
	for _, tc := range []struct{ limit, live, want int64 }{{100, 4, 25}, {100, 3, 33}, {100, 0, 100}, {3, 10, 1}} {
		if got := Share(tc.limit, tc.live); got != tc.want {
			t.Errorf("Share(%d, %d) = %d, want %d", tc.limit, tc.live, got, tc.want)
		}
	}
}
