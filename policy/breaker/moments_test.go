package breaker

import (
	"testing"
	"time"
)

const (
	ms     = int64(time.Millisecond)
	second = int64(time.Second)
)

// consecutive is a breaker without rates.
var consecutive = Config{
	FailureThreshold: 3, SuccessThreshold: 2, Probes: 2,
	Recovery: 10 * time.Second, MaxRecovery: 40 * time.Second, ProbeTimeout: 5 * time.Second,
}

// rates is one that nothing but its rates opens.
var rates = Config{
	FailureThreshold: 1000, SuccessThreshold: 1, Probes: 2,
	Recovery: 10 * time.Second, MaxRecovery: 40 * time.Second, ProbeTimeout: 5 * time.Second,
	FailureRate: &Rate{Threshold: 0.5, Window: 10 * time.Second, MinCalls: 4},
	SlowCalls:   &Slow{SlowerThan: 2 * time.Second, Rate: Rate{Threshold: 0.75, Window: 10 * time.Second, MinCalls: 4}},
}

// moment is the Admit of a request, or its Settle. Requests have a number.
type moment struct {
	at    int64 // seconds
	ask   int
	end   int
	times int // admit and settle this many requests that no later moment names
	how   Call

	refused bool
	retry   time.Duration
	want    Status
	cause   Cause
}

func TestMoments(t *testing.T) {
	success, failure, left := Call{Outcome: Success}, Call{Outcome: Failure}, Call{}
	slowSuccess, slowFailure := Call{Outcome: Success, Slow: true}, Call{Outcome: Failure, Slow: true}
	open := []moment{ // the requests 1 to 3 open a consecutive breaker at 100 s
		{at: 100, ask: 1},
		{at: 100, ask: 2},
		{at: 100, ask: 3},
		{at: 100, end: 1, how: failure},
		{at: 100, end: 2, how: failure},
		{at: 100, end: 3, how: failure, want: Open, cause: ConsecutiveFailures},
	}
	for _, tc := range []struct {
		name    string
		config  *Config
		moments []moment
	}{
		{"consecutive failures open it, a success between resets the count", &consecutive, []moment{
			{at: 100, ask: 1},
			{at: 100, ask: 2},
			{at: 100, ask: 3},
			{at: 100, ask: 4},
			{at: 100, ask: 5},
			{at: 100, ask: 6},
			{at: 101, end: 1, how: failure},
			{at: 101, end: 2, how: failure},
			{at: 102, end: 3, how: success},
			{at: 103, end: 4, how: failure},
			{at: 103, end: 5, how: failure},
			{at: 104, end: 6, how: failure, want: Open, cause: ConsecutiveFailures},
		}},
		{"open refuses until the wait is over, then probes", &consecutive, append(open[:len(open):len(open)],
			moment{at: 104, ask: 4, refused: true, retry: 6 * time.Second, want: Open},
			moment{at: 110, ask: 5, want: HalfOpen},
			moment{at: 110, ask: 6, want: HalfOpen},
			moment{at: 110, ask: 7, refused: true, retry: time.Second, want: HalfOpen},
			moment{at: 111, end: 5, how: success, want: HalfOpen},
			moment{at: 111, ask: 8, want: HalfOpen},
			moment{at: 112, end: 6, how: success, want: Closed, cause: ProbesSucceeded},
			moment{at: 113, end: 8, how: failure, want: Closed}, // of an earlier generation
			moment{at: 113, ask: 9, want: Closed},
		)},
		{"a failing probe doubles the wait, up to the longest", &consecutive, append(open[:len(open):len(open)],
			moment{at: 110, ask: 4, want: HalfOpen},
			moment{at: 110, end: 4, how: failure, want: Open, cause: FailedProbe},
			moment{at: 110, ask: 5, refused: true, retry: 20 * time.Second, want: Open},
			moment{at: 130, ask: 6, want: HalfOpen},
			moment{at: 130, end: 6, how: failure, want: Open, cause: FailedProbe},
			moment{at: 130, ask: 7, refused: true, retry: 40 * time.Second, want: Open},
			moment{at: 170, ask: 8, want: HalfOpen},
			moment{at: 170, end: 8, how: failure, want: Open, cause: FailedProbe},
			moment{at: 170, ask: 9, refused: true, retry: 40 * time.Second, want: Open},
			moment{at: 210, ask: 10, want: HalfOpen}, moment{at: 210, ask: 11, want: HalfOpen},
			moment{at: 210, end: 10, how: success, want: HalfOpen},
			moment{at: 210, end: 11, how: success, want: Closed, cause: ProbesSucceeded},
			moment{at: 210, ask: 12}, moment{at: 210, ask: 13}, moment{at: 210, ask: 14},
			moment{at: 210, end: 12, how: failure}, moment{at: 210, end: 13, how: failure},
			moment{at: 210, end: 14, how: failure, want: Open, cause: ConsecutiveFailures},
			moment{at: 210, ask: 15, refused: true, retry: 10 * time.Second, want: Open}, // the first wait again
		)},
		{"a probe that never ends loses its slot; its late end frees no other slot", &consecutive, append(open[:len(open):len(open)],
			moment{at: 110, ask: 4, want: HalfOpen}, moment{at: 111, ask: 5, want: HalfOpen},
			moment{at: 114, ask: 6, refused: true, retry: time.Second, want: HalfOpen},
			moment{at: 115, ask: 7, want: HalfOpen}, // in 4's slot
			moment{at: 115, ask: 8, refused: true, retry: time.Second, want: HalfOpen},
			moment{at: 115, end: 4, how: left, want: HalfOpen},
			moment{at: 115, ask: 9, refused: true, retry: time.Second, want: HalfOpen},
			moment{at: 116, ask: 10, want: HalfOpen}, // in 5's slot
		)},
		{"the outcome of a probe that lost its slot counts", &consecutive, append(open[:len(open):len(open)],
			moment{at: 110, ask: 4, want: HalfOpen},
			moment{at: 120, end: 4, how: failure, want: Open, cause: FailedProbe},
			moment{at: 120, ask: 5, refused: true, retry: 20 * time.Second, want: Open},
		)},
		{"clients that leave neither open nor close it, and free their slot", &consecutive, []moment{
			{at: 100, ask: 1},
			{at: 100, ask: 2},
			{at: 100, ask: 3},
			{at: 100, ask: 4},
			{at: 100, end: 1, how: left},
			{at: 100, end: 2, how: failure},
			{at: 100, end: 3, how: failure},
			{at: 100, end: 4, how: failure, want: Open, cause: ConsecutiveFailures},
			{at: 110, ask: 5, want: HalfOpen},
			{at: 110, ask: 6, want: HalfOpen},
			{at: 110, end: 5, how: left, want: HalfOpen},
			{at: 110, ask: 7, want: HalfOpen},
		}},
		{"another worker's clock is a little behind: the wait is not over early, and no slot is free early", &consecutive, append(open[:len(open):len(open)],
			moment{at: 99, ask: 4, refused: true, retry: 10 * time.Second, want: Open},
			moment{at: 111, ask: 5, want: HalfOpen}, moment{at: 111, ask: 6, want: HalfOpen},
			moment{at: 110, ask: 7, refused: true, retry: time.Second, want: HalfOpen},
		)},
		{"the clock jumps back: the wait is over", &consecutive, append(open[:len(open):len(open)],
			moment{at: 50, ask: 4, want: HalfOpen},
		)},
		{"the clock jumps back: all slots are free", &consecutive, append(open[:len(open):len(open)],
			moment{at: 110, ask: 4, want: HalfOpen}, moment{at: 110, ask: 5, want: HalfOpen},
			moment{at: 50, ask: 6, want: HalfOpen},
		)},

		{"half of the calls fail", &rates, []moment{
			{at: 100, times: 2, how: success},
			{at: 101, times: 1, how: failure},
			{at: 101, ask: 1},
			{at: 102, end: 1, how: failure, want: Open, cause: FailureRate},
		}},
		{"with too few calls the share is not looked at", &rates, []moment{
			{at: 100, times: 3, how: failure},
			{at: 110, ask: 1},
			{at: 112, end: 1, how: failure}, // the three have left the window
		}},
		{"a success may be the call that opens it", &rates, []moment{
			{at: 100, times: 3, how: failure},
			{at: 100, ask: 1},
			{at: 100, end: 1, how: success, want: Open, cause: FailureRate},
		}},
		{"a call counts for the whole window", &rates, []moment{
			{at: 100, times: 3, how: failure},
			{at: 110, ask: 1},
			{at: 110, end: 1, how: failure, want: Open, cause: FailureRate},
		}},
		{"clients that leave count nowhere", &rates, []moment{
			{at: 100, times: 3, how: failure},
			{at: 100, times: 9, how: Call{Outcome: Neither, Slow: true}},
			{at: 100, ask: 1},
			{at: 100, end: 1, how: failure, want: Open, cause: FailureRate},
		}},
		{"slow successes open it by the slow calls and are no failures", &rates, []moment{
			{at: 100, times: 1, how: success},
			{at: 100, times: 2, how: slowSuccess},
			{at: 100, ask: 1},
			{at: 100, end: 1, how: slowSuccess, want: Open, cause: SlowCalls},
		}},
		{"slow failures count in both, quick ones are not slow", &rates, []moment{
			{at: 100, times: 6, how: success},
			{at: 100, times: 3, how: slowFailure},
			{at: 100, times: 2, how: failure},
			{at: 100, ask: 1},
			{at: 100, end: 1, how: slowFailure, want: Open, cause: FailureRate},
		}},
		{"a slow probe fails", &rates, []moment{
			{at: 100, times: 3, how: failure},
			{at: 100, ask: 1},
			{at: 100, end: 1, how: failure, want: Open, cause: FailureRate},
			{at: 110, ask: 2, want: HalfOpen},
			{at: 113, end: 2, how: slowSuccess, want: Open, cause: SlowProbe},
			{at: 113, ask: 3, refused: true, retry: 20 * time.Second, want: Open},
		}},
		{"closed again, nothing is counted", &rates, []moment{
			{at: 100, times: 2, how: success},
			{at: 100, times: 1, how: failure},
			{at: 100, ask: 1},
			{at: 100, ask: 9},
			{at: 100, end: 1, how: failure, want: Open, cause: FailureRate},
			{at: 110, ask: 2, want: HalfOpen},
			{at: 110, end: 2, how: success, want: Closed, cause: ProbesSucceeded},
			{at: 110, end: 9, how: failure}, // of an earlier generation
			{at: 110, times: 3, how: failure},
			{at: 110, ask: 3},
			{at: 110, end: 3, how: failure, want: Open, cause: FailureRate},
		}},
		{"without slow calls in the policy a slow probe is a success", &consecutive, append(open[:len(open):len(open)],
			moment{at: 110, ask: 4, want: HalfOpen}, moment{at: 110, ask: 5, want: HalfOpen},
			moment{at: 110, end: 4, how: slowSuccess, want: HalfOpen},
			moment{at: 110, end: 5, how: slowSuccess, want: Closed, cause: ProbesSucceeded},
		)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := &line{t: t, config: tc.config, tickets: map[int]Ticket{}}
			for i, m := range tc.moments {
				l.moment(i, m)
			}
		})
	}
}

// line is a breaker under test, and the tickets of the running requests.
type line struct {
	t       *testing.T
	config  *Config
	state   State
	tickets map[int]Ticket
}

func (l *line) moment(i int, m moment) {
	l.t.Helper()
	switch {
	case m.ask != 0:
		v := l.ask(m.ask, m.at*second)
		if v.Admitted == m.refused || v.RetryAfter != m.retry {
			l.t.Fatalf("moment %d: request %d: got %+v, want refused %v, retry after %v", i, m.ask, v, m.refused, m.retry)
		}
	case m.end != 0:
		if cause := l.end(m.end, m.how, m.at*second); cause != m.cause {
			l.t.Fatalf("moment %d: request %d: got cause %v, want %v", i, m.end, cause, m.cause)
		}
	default:
		const unnamed = -1
		for n := range m.times {
			l.ask(unnamed, m.at*second)
			if cause := l.end(unnamed, m.how, m.at*second); cause != m.cause {
				l.t.Fatalf("moment %d, call %d: got cause %v, want %v", i, n, cause, m.cause)
			}
		}
	}
	if l.state.Status != m.want {
		l.t.Fatalf("moment %d: got status %v, want %v", i, l.state.Status, m.want)
	}
}

func (l *line) ask(request int, at int64) Verdict {
	l.t.Helper()
	before := l.state
	v := l.state.Admit(l.config, at)
	if l.state != before {
		l.t.Fatalf("request %d: Admit left %+v, want %+v unchanged", request, l.state, before)
	}
	if changed := l.state.Enter(&v, at); changed != (l.state != before) || (changed && !v.Admitted) {
		l.t.Fatalf("request %d: Enter(%+v) = %v, want %v", request, v, changed, l.state != before)
	}
	if v.HalfOpened != (l.state.Status == HalfOpen && before.Status == Open) {
		l.t.Fatalf("request %d: got %+v, want HalfOpened only for open -> half_open, got %v -> %v", request, v, before.Status, l.state.Status)
	}
	l.tickets[request] = v.Ticket
	return v
}

func (l *line) end(request int, how Call, at int64) Cause {
	l.t.Helper()
	before := l.state
	changed, cause := l.state.Settle(l.config, l.tickets[request], how, at)
	if changed != (l.state != before) {
		l.t.Fatalf("request %d: Settle reported a change %v, want %v", request, changed, l.state != before)
	}
	if (cause != NoTransition) != (l.state.Status != before.Status) {
		l.t.Fatalf("request %d: got cause %v for %v -> %v, want a cause for each transition only", request, cause, before.Status, l.state.Status)
	}
	if cause != NoTransition && l.state.Cause != cause || cause == NoTransition && l.state.Cause != before.Cause {
		l.t.Fatalf("request %d: got State.Cause %v, want that of the last transition, %v", request, l.state.Cause, cause)
	}
	return cause
}

func TestSlowerThanIsExclusive(t *testing.T) {
	for _, tc := range []struct {
		config *Config
		took   time.Duration
		slow   bool
	}{
		{&rates, 2 * time.Second, false},
		{&rates, 2*time.Second + 1, true},
		{&consecutive, time.Hour, false},
	} {
		if got := tc.config.Call(Failure, tc.took); got != (Call{Outcome: Failure, Slow: tc.slow}) {
			t.Errorf("Call(Failure, %v) = %+v, want Slow %v", tc.took, got, tc.slow)
		}
	}
}

// TestFewerProbesAfterReload loads a policy with fewer probes while those of the old one run.
func TestFewerProbesAfterReload(t *testing.T) {
	many, one := consecutive, consecutive
	many.Probes, one.Probes = 3, 1
	l := &line{t: t, config: &many, state: State{Status: Open}, tickets: map[int]Ticket{}}
	for request := range 3 {
		l.ask(request, 100*second)
	}
	l.config = &one
	for request := range 3 {
		if v := l.ask(10, 101*second); v.Admitted {
			t.Fatalf("with %d probes running and one allowed: got admitted, want refused", 3-request)
		}
		l.end(request, Call{Outcome: Neither}, 101*second)
	}
	if v := l.ask(10, 101*second); !v.Admitted {
		t.Fatal("with no probe running: got refused, want admitted")
	}
}

func TestCauseNames(t *testing.T) {
	names := map[string]Cause{}
	for c := NoTransition; c <= lastCause; c++ {
		if other, taken := names[c.String()]; taken {
			t.Errorf("causes %d and %d: got the same name %q, want different names", other, c, c)
		}
		names[c.String()] = c
	}
	for c, known := range map[Cause]bool{NoTransition: true, Operator: true, Operator + 1: false, 255: false} {
		if got := c.Known(); got != known {
			t.Errorf("Cause(%d).Known() = %v, want %v", c, got, known)
		}
	}
}
