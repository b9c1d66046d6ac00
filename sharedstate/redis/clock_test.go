package redis

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/weir-mesh/weir/policy/ratelimit"
)

// moved is a Redis whose clock is moved while real time passes. One holder takes all that there is and uses it at once.
// Like lease.Holder it calls when the next token is said to come, within a second.
type moved struct {
	*engine
	t     *testing.T
	limit *Limit
	place *Place

	passed int64 // real time, µs
	ahead  int64 // of Redis's clock, µs
	number int64
	settle bool         // the holder reports what it used with its next call
	owed   []Settlement // to be reported
	uses   []int64      // by real time, µs
	waited time.Duration
}

// move moves the clock. A key expires at a time of that clock, so its time to live is longer afterwards.
func (m *moved) move(by time.Duration) {
	ctx := context.Background()
	m.ahead += micros(by)
	keys, err := m.client.Keys(ctx, "*").Result()
	if err != nil || len(keys) == 0 {
		m.t.Fatalf("KEYS *: got %v, %v, want some", keys, err)
	}
	for _, key := range keys {
		if err := m.client.PExpire(ctx, key, m.client.PTTL(ctx, key).Val()-by).Err(); err != nil {
			m.t.Fatal(err)
		}
	}
}

// run lets real time pass.
func (m *moved) run(lasts time.Duration) {
	m.t.Helper()
	for end := m.passed + micros(lasts); m.passed < end; {
		m.number++
		a := &LeaseRequest{
			Holder: "h", Number: m.number, Proxy: "p", Need: m.limit.limit, Want: m.limit.limit, Settled: m.owed,
		}
		m.owed = nil
		r := m.call(m.t, m.limit, m.place, a, began+m.passed+m.ahead)
		m.waited = max(m.waited, r.RetryAfter)
		for range r.Granted {
			m.uses = append(m.uses, m.passed)
		}
		if m.settle && r.Granted > 0 {
			m.owed = append(m.owed, Settlement{Number: a.Number, At: r.At, Uses: [MaxUses]Use{{1, r.Granted}}, Len: 1})
		}
		m.passed += min(max(micros(r.RetryAfter), 100_000), 1e6)
	}
}

// in counts the uses in [from, to).
func (m *moved) in(from, to int64) (n int64) {
	for _, at := range m.uses {
		if at >= from && at < to {
			n++
		}
	}
	return n
}

// most is what the busiest interval of a length has.
func (m *moved) most(length int64) (most int64) {
	for _, at := range m.uses {
		most = max(most, m.in(at, at+length))
	}
	return most
}

// movedLimits have windows of 2 s, and buckets that fill in 2 s and in a minute.
var movedLimits = []*Limit{
	NewSlidingWindow(10, 2*time.Second, 200*time.Millisecond),
	NewSlidingWindow(600, 2*time.Second, 200*time.Millisecond),
	NewAdaptive(10, 2*time.Second, 200*time.Millisecond, ratelimit.AdaptiveConfig{Threshold: 0.5, Backoff: 0.5, Recovery: 2, Interval: time.Second, MinSamples: 1}),
	NewTokenBucket(20, 10, 200*time.Millisecond),
	NewTokenBucket(120, 2, 200*time.Millisecond),
}

func movedTest(t *testing.T, test func(t *testing.T, m *moved)) {
	t.Helper()
	onEngines(t, func(t *testing.T, e *engine) {
		for _, l := range movedLimits {
			for _, p := range []*Place{NewPlace("weir:", "a"), NewKeyedPlace("weir:", "a", "k", 3)} {
				for _, settle := range []bool{true, false} {
					t.Run(fmt.Sprintf("%s of %d, max_keys %d, settled %v", l.script.name, l.limit, p.maxKeys, settle), func(t *testing.T) {
						test(t, &moved{engine: e, t: t, limit: l, place: p, settle: settle})
					})
				}
			}
		}
	})
}

// TestClockSetBack sets Redis's clock back under load, by an NTP step, a failover to a replica or a dump of another
// machine: the limit holds, and admits again within a window and a ttl.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	movedTest(t, func(t *testing.T, m *moved) {
		for _, by := range []time.Duration{300 * time.Millisecond, 1900 * time.Millisecond, time.Hour} {
			if m.second && by != time.Hour {
				continue // its replies are the same
			}
			m.clear(t)
			m.passed, m.ahead, m.uses, m.waited = 0, 0, nil, 0
			window := int64(2e6)
			m.run(5 * time.Second)
			m.move(-by)
			back := m.passed
			m.run(11 * time.Second)
			longest := time.Duration(m.limit.longestWait()) * time.Microsecond
			if m.limit.script == &tokenBucketScript { // it has one configuration, so no debt
				longest = time.Duration(ceilDiv(1e12, m.limit.numbers[1])+1e6) * time.Microsecond
			}
			if m.waited > longest || longest > 2300*time.Millisecond {
				t.Errorf("%v back: got a wait of %v for a token, want at most %v", by, m.waited, longest)
			}
			if m.limit.script == &tokenBucketScript {
				perSecond := m.limit.numbers[1] / 1e6
				for _, length := range []int64{1e6, 2e6, 5e6} {
					if most, want := m.most(length), m.limit.limit+perSecond*length/1e6; most > want {
						t.Errorf("%v back: got %d in %d µs, want at most %d", by, most, length, want)
					}
				}
				// A second is lost, in which the level's time is ahead, and the time since the call before.
				if got, want := m.in(back, m.passed), 9*perSecond; got < want {
					t.Errorf("%v back: got %d in the 11 s after, want %d or more", by, got, want)
				}
				continue
			}
			if most := m.most(window); most > m.limit.limit {
				t.Errorf("%v back: got %d in a window, want at most %d", by, most, m.limit.limit)
			}
			if got := m.in(back, back+2*window); got == 0 {
				t.Errorf("%v back: got none in two windows", by)
			}
			if got, want := m.in(back, m.passed), 3*m.limit.limit; got < want {
				t.Errorf("%v back: got %d in the 11 s after, want %d or more", by, got, want)
			}
		}
	})
}

// TestClockSetForward sets it forward: what was granted before counts no more, so the window around that may have one
// further limit, and no later one has.
func TestClockSetForward(t *testing.T) {
	t.Parallel()
	movedTest(t, func(t *testing.T, m *moved) {
		for _, by := range []time.Duration{time.Second, time.Hour} {
			if m.second && by != time.Hour {
				continue // its replies are the same
			}
			m.clear(t)
			m.passed, m.ahead, m.uses, m.waited = 0, 0, nil, 0
			m.run(5 * time.Second)
			m.move(by)
			forward := m.passed
			m.run(10 * time.Second)
			if m.limit.script == &tokenBucketScript {
				if got, want := m.in(forward, m.passed), m.limit.limit+10*m.limit.numbers[1]/1e6; got > want {
					t.Errorf("%v forward: got %d in the 10 s after, want at most %d", by, got, want)
				}
				continue
			}
			if most := m.most(2e6); most > 2*m.limit.limit {
				t.Errorf("%v forward: got %d in a window, want at most twice the limit of %d", by, most, m.limit.limit)
			}
			m.uses = m.uses[len(m.uses)-int(m.in(forward, m.passed)):]
			if most := m.most(2e6); most > m.limit.limit {
				t.Errorf("%v forward: got %d in a window after it, want at most %d", by, most, m.limit.limit)
			}
		}
	})
}

// TestClockSetBackOthers: proxies that are gone, and keys that are idle, are not counted for as long as the clock was
// set back.
func TestClockSetBackOthers(t *testing.T) {
	onEngines(t, func(t *testing.T, e *engine) {
		for _, l := range []*Limit{NewSlidingWindow(4, time.Second, 100*time.Millisecond), NewTokenBucket(4, 4, 100*time.Millisecond)} {
			e.clear(t)
			number := int64(0)
			at := func(ms int64, proxy, key string) Reply {
				number++
				a := &LeaseRequest{Holder: proxy, Number: number, Proxy: proxy, Need: 4, Want: 4}
				return e.call(t, l, NewKeyedPlace("weir:", "a", key, 2), a, began+ms*1000)
			}
			at(0, "p", "x")
			at(0, "q", "y")
			const hour = int64(3_600_000)
			// Both places are taken by keys of the other clock: the first call finds that out.
			at(-hour, "p", "z")
			for i := range int64(40) { // 1 of 16 calls looks at proxies
				at(-hour+10+i, "p", "x")
			}
			// A window later they are idle.
			if granted := at(-hour+1700, "p", "z1").Granted + at(-hour+1700, "p", "z2").Granted; granted < 6 {
				t.Errorf("%s, %s: two other keys got %d, want 6 or more, a limit for each", e.name, l.script.name, granted)
			}
			live := int64(0)
			for i := range int64(17) {
				live = at(-hour+11_000+i, "p", "x").Live
			}
			if live != 1 {
				t.Errorf("%s, %s: got %d live proxies, want 1", e.name, l.script.name, live)
			}
		}
	})
}
