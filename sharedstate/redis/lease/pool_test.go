package lease

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis"
)

// newPools are so many workers of a proxy, with queues 1, 2 …
func newPools(n int, limit *redis.Limit) []*Pool {
	store, pools := sharedstate.NewMemory(), make([]*Pool, n)
	for i := range pools {
		pools[i] = newPool(store, i+1, limit, 7)
	}
	return pools
}

func newPool(store sharedstate.Store, worker int, limit *redis.Limit, identity uint64) *Pool {
	w := NewWorker(fmt.Sprintf("w%d", worker), "p", 50*time.Millisecond, uint64(worker))
	return NewPool(w, limit, Config{MaxWaiters: 10}, store, "pool", identity, uint32(worker))
}

func takeOf(t *testing.T, p *Pool, now int64, want Decision, callDue bool) {
	t.Helper()
	v, ok := p.Take(now)
	if !ok || v.Decision != want || v.CallDue != callDue {
		t.Fatalf("Take at %d ms: got %v, call due %v, usable %v, want %v, %v, true", now/ms, v.Decision, v.CallDue, ok, want, callDue)
	}
}

func callOf(t *testing.T, p *Pool, now int64) redis.LeaseRequest {
	t.Helper()
	next, _, ok := p.NextCall(now)
	if !ok {
		t.Fatalf("NextCall at %d ms: got none, want one", now/ms)
	}
	request := *next
	request.Settled = slices.Clone(next.Settled)
	return request
}

// TestPoolOfTwoWorkers: one makes the call for the requests of both, and the tokens are for both.
func TestPoolOfTwoWorkers(t *testing.T) {
	p := newPools(2, tenASecond)
	takeOf(t, p[0], 1, Waiting, true)
	takeOf(t, p[1], 1, Waiting, false)
	takeOf(t, p[1], 1, Waiting, false)
	call := callOf(t, p[1], 2)
	if _, _, ok := p[0].NextCall(2); ok {
		t.Fatal("worker 1 while the call of worker 2 is pending: got a call, want none")
	}
	if call.Need != 3 || call.Holder == "w1" || call.Holder == "w2" {
		t.Fatalf("got %+v, want a call for 3 requests by a name of the pool", call)
	}
	checkDecisions(t, p[1].Reply(call.Number, reply(2, 8), ms), Decisions{Granted: 2})
	if got := p[1].Wakes(); !slices.Equal(got, []uint32{1}) {
		t.Fatalf("got workers %v woken, want worker 1", got)
	}
	takeOf(t, p[0], ms, Waiting, false) // behind the one that waits already
	checkDecisions(t, p[0].Tick(ms), Decisions{CallDue: true})
	second := callOf(t, p[0], 2*ms)
	if second.Holder != call.Holder || second.Need != 2 {
		t.Fatalf("got %+v, want a call of the same name for 2 requests", second)
	}
	checkSettled(t, second, call.Number, 2)
	checkDecisions(t, p[0].Reply(second.Number, reply(3, 5), 3*ms), Decisions{Granted: 2})
	takeOf(t, p[1], 3*ms, Granted, true) // the last token, leased by the other worker
}

// TestPoolAfterCrash: a worker that has made a call is gone, and requests of another one wait.
func TestPoolAfterCrash(t *testing.T) {
	p := newPools(2, tenASecond)
	takeOf(t, p[0], 1, Waiting, true)
	takeOf(t, p[1], 1, Waiting, false)
	lost := callOf(t, p[0], 1)
	checkDecisions(t, p[1].Tick(90*ms), Decisions{})                          // a reply may still come
	checkDecisions(t, p[1].Tick(101*ms), Decisions{Failed: 1, CallDue: true}) // to give back what it may have brought
	if got := p[1].Wakes(); !slices.Equal(got, []uint32{1}) {
		t.Fatalf("got workers %v woken by the one that gave the call up, want worker 1", got)
	}
	if got := p[0].Reply(lost.Number, reply(2, 8), 102*ms); !got.Late || got.Granted > 0 {
		t.Fatalf("the reply came after all: got %+v, want it dropped", got)
	}
	takeOf(t, p[1], 103*ms, Waiting, false)
	checkSettled(t, callOf(t, p[1], 103*ms), lost.Number, 0)
}

// TestPoolRemembersRefusals: a worker that has seen that nothing can be had does not read the record again, and demand is
// counted all the same.
func TestPoolRemembersRefusals(t *testing.T) {
	p := newPools(1, tenASecond)[0]
	takeOf(t, p, 1, Waiting, true)
	p.Reply(callOf(t, p, 1).Number, reply(0, 0), ms)
	changed := p.record.latest
	takeOf(t, p, 2*ms, Refused, false)
	takeOf(t, p, 3*ms, Refused, false)
	before := p.record.holder.demand.rate
	if p.record.latest != changed {
		t.Errorf("got the record changed at %d ms by a request that is refused, want %d", p.record.latest/ms, changed/ms)
	}
	p.Tick(4 * ms)
	if got := p.record.holder.demand.rate * averagedOver; got < before*averagedOver+1.9 {
		t.Errorf("after a tick: got a demand of %.2f requests in 200 ms, want 2 more than %.2f", got, before*averagedOver)
	}
}

// TestPoolOfAnotherConfiguration is not used until it has not been for 10 s. Then it is another one, of another name.
func TestPoolOfAnotherConfiguration(t *testing.T) {
	store := sharedstate.NewMemory()
	old, next := newPool(store, 1, tenASecond, 7), newPool(store, 2, tenASecond, 8)
	takeOf(t, old, 1, Waiting, true)
	first := callOf(t, old, 1)
	old.Reply(first.Number, reply(1, 5), ms)
	if v, ok := next.Take(9 * 1000 * ms); ok {
		t.Fatalf("while another configuration uses the record: got %+v, want that it can't be used", v)
	}
	takeOf(t, next, 10_002*ms, Waiting, true)
	if second := callOf(t, next, 10_002*ms); second.Holder == first.Holder || len(second.Settled) > 0 {
		t.Fatalf("got %+v, want a call of another name that settles nothing", second)
	}
	if v, ok := old.Take(10_003 * ms); ok {
		t.Fatalf("of the earlier configuration: got %+v, want that it can't be used", v)
	}
}

// TestPoolTakenByAnotherConfiguration while requests wait for it, as after a process was stopped for long: they fail at the next
// tick, whatever is asked before. What the other one was told by Redis is not this one's.
func TestPoolTakenByAnotherConfiguration(t *testing.T) {
	store := sharedstate.NewMemory()
	old, next := newPool(store, 1, tenASecond, 7), newPool(store, 2, tenASecond, 8)
	takeOf(t, old, 1, Waiting, true)
	callOf(t, old, 1)
	takeOf(t, old, 2, Waiting, false)
	now := 11_000 * ms
	takeOf(t, next, now, Waiting, true)
	next.Reply(callOf(t, next, now).Number, reply(3, 5), now)
	if v, ok := old.Take(now); ok {
		t.Fatalf("got %+v, want that it can't be used", v)
	}
	if last, known := old.LastReply(); known || old.Held(now) != 0 {
		t.Errorf("got %d tokens and reply %+v of the other configuration, want none", old.Held(now), last)
	}
	checkDecisions(t, old.Tick(now), Decisions{Failed: 2})
}

// TestPartWithoutItsPool: where another configuration uses the pool, the worker's own calls report outcomes.
func TestPartWithoutItsPool(t *testing.T) {
	store := sharedstate.NewMemory()
	config := ratelimit.AdaptiveConfig{Threshold: 0.8, Backoff: 0.7, Recovery: 1.2, Interval: time.Second, MinSamples: 10}
	limit := redis.NewAdaptive(20_000, time.Second, 100*time.Millisecond, config)
	takeOf(t, newPool(store, 1, limit, 8), ms, Waiting, true)
	w := NewWorker("w2", "p", 50*time.Millisecond, 2)
	part := NewPart(NewHolder(w, limit, Config{MaxWaiters: 10}), NewPool(w, limit, Config{MaxWaiters: 10}, store, "pool", 7, 2))
	part.pooled = true
	from, v := part.Take(2 * ms)
	if from != part.own || v.Decision != Waiting {
		t.Fatalf("got %v from the pool %v, want it to wait for the worker's own call", v, from != part.own)
	}
	part.Report(true, 3*ms)
	if call := nextCall(t, part.own, 4*ms); call.Successes != 1 {
		t.Errorf("got %+v, want a call that reports a success", call)
	}
	part.Tick(5*ms, func(from Source, d Decisions) {
		if from == part.pool {
			t.Errorf("got %+v of a pool that has nothing to do, want no tick", d)
		}
	})
}

// TestPoolsOfOneWorker: two pools that a worker makes for one limit, as after its clusters are made again, have other call numbers:
// a lease in Redis has the name of its pool and the number of its call.
func TestPoolsOfOneWorker(t *testing.T) {
	w := NewWorker("w1", "p", 50*time.Millisecond, 1)
	var numbers [2]int64
	for i := range numbers {
		p := NewPool(w, tenASecond, Config{MaxWaiters: 10}, sharedstate.NewMemory(), "pool", 1, 1)
		takeOf(t, p, 1, Waiting, true)
		numbers[i] = callOf(t, p, 1).Number
	}
	if apart := numbers[1] - numbers[0]; apart > -1000 && apart < 1000 {
		t.Errorf("got calls %d and %d, want numbers that have nothing to do with each other", numbers[0], numbers[1])
	}
}

// TestReadingAPoolAllocatesNothing, since each request that the pool admits reads it.
func TestReadingAPoolAllocatesNothing(t *testing.T) {
	p := newPools(1, tenASecond)[0]
	takeOf(t, p, 1, Waiting, true)
	packed := p.record.AppendTo(nil)
	if n := testing.AllocsPerRun(10, func() { p.record.Unpack(packed) }); n != 0 {
		t.Errorf("got %g allocations, want 0", n)
	}
}

// TestPoolReset: an operator's reset drops the tokens once, and waiting requests wait for the next call.
func TestPoolReset(t *testing.T) {
	p := newPools(2, tenASecond)
	takeOf(t, p[0], 1, Waiting, true)
	first := callOf(t, p[0], 1)
	p[0].Reply(first.Number, reply(3, 5), ms)
	takeOf(t, p[1], 2*ms, Granted, false)
	checkDecisions(t, p[0].Reset(1, 3*ms), Decisions{})
	takeOf(t, p[0], 3*ms, Waiting, true)
	checkDecisions(t, p[1].Reset(1, 4*ms), Decisions{})
	second := callOf(t, p[0], 4*ms)
	if second.Holder == first.Holder || second.Need != 1 {
		t.Fatalf("got %+v, want a call of another name for the request that waits", second)
	}
	takeOf(t, p[1], 4*ms, Waiting, false)
	checkDecisions(t, p[1].Reset(2, 5*ms), Decisions{CallDue: true})
	checkDecisions(t, p[0].Tick(5*ms), Decisions{})
	if third := callOf(t, p[1], 5*ms); third.Need != 2 {
		t.Fatalf("got %+v, want a call for the requests of both workers", third)
	}
}

// TestPoolOfClientsThatLeft: of a request whose client left, the record is told after the call has ended that it waited for. That
// must not take away a request of another worker, or nobody makes the call for which that one waits.
func TestPoolOfClientsThatLeft(t *testing.T) {
	p := newPools(2, twentyThousandASecond)
	takeOf(t, p[0], 1, Waiting, true)
	takeOf(t, p[1], 1, Waiting, false)
	call := callOf(t, p[1], 1)
	p[0].CancelWaiting(1)
	checkDecisions(t, p[1].Reply(call.Number, redis.Reply{
		At: 1, Granted: 1, RetryAfter: 1000, Limit: 20_000, Live: 1000, Lately: 1000,
	}, ms), Decisions{Granted: 1})
	due := p[1].record.holder.notBefore
	takeOf(t, p[1], due-ms, Waiting, false) // for the pace
	p[0].Tick(due - ms/2)
	checkDecisions(t, p[1].Tick(due), Decisions{CallDue: true})
	if next := callOf(t, p[1], due); next.Need != 1 {
		t.Errorf("got %+v, want a call for the request that waits", next)
	}
}

// TestPoolOutcomes: the next call reports what all workers saw, each outcome once.
func TestPoolOutcomes(t *testing.T) {
	config := ratelimit.AdaptiveConfig{Threshold: 0.8, Backoff: 0.7, Recovery: 1.2, Interval: time.Second, MinSamples: 10}
	p := newPools(2, redis.NewAdaptive(10, time.Second, 100*time.Millisecond, config))
	p[0].Report(true, 1)
	p[1].Report(false, 1)
	p[1].Report(true, 1)
	p[0].Tick(2)
	p[0].Tick(3)
	takeOf(t, p[1], 4, Waiting, true)
	if call := callOf(t, p[1], 4); call.Successes != 2 || call.Failures != 1 {
		t.Fatalf("got %+v, want 2 successes and 1 failure", call)
	}
}

// TestPartUsesThePool where 1,000 proxies want some of 20,000 a second, and its worker's own holder where 10 do.
func TestPartUsesThePool(t *testing.T) {
	store := sharedstate.NewMemory()
	w := NewWorker("w1", "p", 50*time.Millisecond, 1)
	config := Config{MaxWaiters: 10}
	part := NewPart(NewHolder(w, twentyThousandASecond, config), NewPool(w, twentyThousandASecond, config, store, "pool", 1, 1))
	now := ms
	for _, tc := range []struct {
		lately int64
		pooled bool
	}{{10, false}, {243, false}, {1000, true}, {240, true}, {190, false}, {240, false}, {260, true}} {
		from, v := part.Take(now)
		if v.Decision != Waiting {
			t.Fatalf("got %v, want it to wait", v.Decision)
		}
		request, _, _ := from.NextCall(now)
		from.Reply(request.Number, redis.Reply{
			At: now / 1000, Limit: 20_000, Remaining: 10_000, Granted: 1, Live: 1000, Lately: tc.lately,
		}, now)
		part.Tick(now, func(Source, Decisions) {})
		if part.pooled != tc.pooled {
			t.Errorf("%d proxies called lately: got a pool %v, want %v", tc.lately, part.pooled, tc.pooled)
		}
		now += 200 * ms
	}
}

func FuzzPoolUnpack(f *testing.F) {
	p := newPool(sharedstate.NewMemory(), 1, tenASecond, 7)
	f.Add([]byte{})
	p.Take(1)
	f.Add(p.record.AppendTo(nil))
	request, _, _ := p.NextCall(1)
	f.Add(p.record.AppendTo(nil))
	p.Reply(request.Number, reply(3, 5), ms)
	p.Take(2 * ms)
	p.Tick(300 * ms)
	f.Add(p.record.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		store := sharedstate.NewMemory()
		if err := store.Set("pool", b, 0); err != nil {
			t.Fatal(err)
		}
		p := newPool(store, 1, tenASecond, 7)
		if ok := p.record.Unpack(b); ok {
			if got := p.record.AppendTo(nil); !slices.Equal(got, b) {
				t.Fatalf("got %x after it was read, want %x", got, b)
			}
		}
		now := int64(time.Hour)
		p.Take(now) // whatever the numbers are
		p.Tick(now + 10*ms)
		if request, _, ok := p.NextCall(now + 11*ms); ok {
			p.Reply(request.Number, reply(1, 5), now+12*ms)
		}
		p.Tick(now + 300*ms)
	})
}
