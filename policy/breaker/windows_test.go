package breaker

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestTwoLengthsOfOneState lets two plugins whose windows have different lengths settle calls in one state, in turn.
func TestTwoLengthsOfOneState(t *testing.T) {
	rate := func(window time.Duration, minCalls uint32) Rate {
		return Rate{Threshold: 0.5, Window: window, MinCalls: minCalls}
	}
	with := func(r Rate) *Config {
		c := consecutive
		c.FailureThreshold, c.FailureRate = 1000, &r
		return &c
	}
	slow := func(r Rate) *Config {
		c := consecutive
		c.FailureThreshold, c.SlowCalls = 1000, &Slow{SlowerThan: time.Second, Rate: r}
		return &c
	}
	fails, isSlow := Call{Outcome: Failure}, Call{Outcome: Success, Slow: true}
	for _, tc := range []struct {
		name  string
		calls []*Config // who settles a bad call, again and again
		call  Call
		every int64
		want  int // the call that opens the breaker
		cause Cause
	}{
		{"the first reaches its calls", []*Config{with(rate(10*time.Second, 7)), with(rate(time.Minute, 100))}, fails, 100 * ms, 7, FailureRate},
		{"the second reaches its calls", []*Config{with(rate(10*time.Second, 100)), with(rate(time.Minute, 8))}, fails, 100 * ms, 8, FailureRate},
		{"calls that only the longer remembers", []*Config{with(rate(time.Second, 4)), with(rate(time.Minute, 12))}, fails, second, 12, FailureRate},
		{"slow calls", []*Config{slow(rate(10*time.Second, 20)), slow(rate(time.Minute, 8))}, isSlow, 100 * ms, 8, SlowCalls},
		{"four lengths", []*Config{
			with(rate(time.Second, 100)), with(rate(10*time.Second, 100)), with(rate(20*time.Second, 100)), with(rate(time.Minute, 12)),
		}, fails, 100 * ms, 12, FailureRate},
		{"a reload to a longer window", []*Config{
			with(rate(10*time.Second, 10)), with(rate(10*time.Second, 10)), with(rate(10*time.Second, 10)),
			with(rate(time.Minute, 4)),
		}, fails, 100 * ms, 4, FailureRate},
		{"a reload to a shorter window", []*Config{
			with(rate(time.Minute, 10)), with(rate(time.Minute, 10)), with(rate(time.Minute, 10)),
			with(rate(10*time.Second, 4)),
		}, fails, 100 * ms, 4, FailureRate},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s State
			now := 1000 * second
			for i := range 100 {
				_, cause := s.Settle(tc.calls[i%len(tc.calls)], Ticket{Slot: -1}, tc.call, now)
				if cause != NoTransition {
					if i+1 != tc.want || cause != tc.cause {
						t.Fatalf("call %d opened it for %v, want call %d for %v", i+1, cause, tc.want, tc.cause)
					}
					return
				}
				b := s.AppendTo(nil)
				if again := (State{}); !again.Unpack(b) || again != s {
					t.Fatalf("after call %d Unpack(%x) = %+v, want %+v", i+1, b, again, s)
				}
				now += tc.every
			}
			t.Fatalf("100 bad calls did not open it, want call %d: %+v", tc.want, s.Failed)
		})
	}
}

// TestWindowsEqualOneEach checks that the windows of several lengths are those of as many breakers that each saw all calls.
func TestWindowsEqualOneEach(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := []time.Duration{100 * time.Millisecond, 333333333, 7 * time.Second, 30 * time.Second}
		lengths = lengths[:rapid.IntRange(1, MaxWindows).Draw(t, "lengths")]
		var ws Windows
		var alone [MaxWindows]Window
		now := rapid.Int64Range(0, 1e15).Draw(t, "begin")
		count := func(who int) {
			bad := rapid.Bool().Draw(t, "bad")
			ws.add(&Rate{Window: lengths[who]}, bad, now)
			for i, l := range lengths {
				alone[i].add((&Rate{Window: l}).width(), bad, now)
			}
		}
		for i := range lengths { // all are there from the first moment on
			count(i)
		}
		for range rapid.IntRange(0, 100).Draw(t, "calls") {
			now += rapid.OneOf(rapid.Int64Range(0, 100*ms), rapid.Int64Range(0, 10*second)).Draw(t, "pass")
			count(rapid.IntRange(0, len(lengths)-1).Draw(t, "who"))
			for i := range lengths {
				got := ws.of(alone[i].Width)
				if got == nil {
					t.Fatalf("no window of %v: %+v", lengths[i], ws)
				}
				if got.Start != alone[i].Start || got.Buckets != alone[i].Buckets {
					t.Fatalf("window of %v: got %+v, want %+v", lengths[i], *got, alone[i])
				}
			}
		}
	})
}

// TestUnusedWindowIsDropped checks that a window remains while its plugins are there, and for a quarter of an hour.
func TestUnusedWindowIsDropped(t *testing.T) {
	short, long := &Rate{Window: 10 * time.Second}, &Rate{Window: time.Minute}
	for _, tc := range []struct {
		name string
		back time.Duration // how often the other length counts a call, 0: never again
		want int           // windows after an hour
	}{
		{"the other is gone", 0, 1},
		{"the other is there", 10 * time.Minute, 2},
	} {
		var ws Windows
		now := 3 * minutes * minute
		ws.add(long, true, now)
		ws.add(short, true, now)
		for passed := time.Second; passed <= time.Hour; passed += time.Second {
			ws.add(short, true, now+int64(passed))
			if tc.back != 0 && passed%tc.back == 0 {
				ws.add(long, true, now+int64(passed))
			}
			if passed == 14*time.Minute && ws.len() != 2 {
				t.Fatalf("%s: got %d windows after %v, want 2", tc.name, ws.len(), passed)
			}
		}
		if got := ws.len(); got != tc.want || (got == 1 && ws[0].Used != 0) {
			t.Errorf("%s: got %d windows after an hour, want %d, packed as ever: %+v", tc.name, got, tc.want, ws)
		}
	}
}

// TestTooManyLengths checks that a fifth length takes the place of the one that was not used for the longest time.
func TestTooManyLengths(t *testing.T) {
	var ws Windows
	now := 7 * minute
	for i := range MaxWindows + 1 {
		ws.add(&Rate{Window: time.Duration(i+1) * time.Minute}, true, now)
		now += minute
	}
	first, fifth := ws.of((&Rate{Window: time.Minute}).width()), ws.of((&Rate{Window: 5 * time.Minute}).width())
	if ws.len() != MaxWindows || first != nil || fifth == nil {
		t.Fatalf("got %+v, want the first length replaced by the fifth", ws)
	}
	if calls, bad := fifth.sum(); calls != 5 || bad != 5 {
		t.Errorf("the fifth counts %d calls, %d bad, want all 5", calls, bad)
	}
}

// TestTwoThresholdsOfOneState lets two plugins with different numbers settle calls in one state: each compares the
// shared counts with its own.
func TestTwoThresholdsOfOneState(t *testing.T) {
	few, many := consecutive, consecutive
	few.FailureThreshold, few.SuccessThreshold, few.Probes = 3, 1, 1
	many.FailureThreshold, many.SuccessThreshold, many.Probes = 5, 3, 3
	failure, success := Call{Outcome: Failure}, Call{Outcome: Success}

	var s State
	now := 1000 * second
	for i, step := range []struct {
		config *Config
		want   Status
	}{{&many, Closed}, {&few, Closed}, {&many, Closed}, {&few, Open}} { // the 4 failures are not enough for many
		s.Settle(step.config, Ticket{Slot: -1}, failure, now)
		if s.Status != step.want {
			t.Fatalf("failure %d: got %v, want %v", i+1, s.Status, step.want)
		}
	}

	now += int64(consecutive.Recovery)
	var tickets []Ticket
	for i, step := range []struct {
		config   *Config
		admitted bool
	}{{&many, true}, {&few, false}, {&many, true}, {&few, false}, {&many, true}, {&many, false}} {
		v := s.Admit(step.config, now)
		if v.Admitted != step.admitted {
			t.Fatalf("probe %d: admitted %v, want %v", i+1, v.Admitted, step.admitted)
		}
		if s.Enter(&v, now) {
			v.Ticket.Generation = s.Generation
			tickets = append(tickets, v.Ticket)
		}
	}
	for i, step := range []struct {
		config *Config
		want   Status
	}{{&many, HalfOpen}, {&many, HalfOpen}, {&few, Closed}} {
		s.Settle(step.config, tickets[i], success, now)
		if s.Status != step.want {
			t.Fatalf("success %d: got %v, want %v", i+1, s.Status, step.want)
		}
	}
}
