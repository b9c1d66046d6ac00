package breaker

import (
	"testing"
	"time"
)

// step is an action of an operator, or a request from its Admit to its Settle.
type step struct {
	at      int64 // seconds
	force   *Forced
	reset   bool
	request Outcome // Neither: its client leaves

	refused bool
	retry   time.Duration
	cause   Cause // of the action, or of the request's Settle
	status  Status
	forced  Forced
}

func forced(f Forced) *Forced { return &f }

func TestForce(t *testing.T) {
	open, shut, none := forced(ForcedOpen), forced(ForcedClosed), forced(NotForced)
	failing := []step{ // three failures open it at 100 s
		{at: 100, request: Failure},
		{at: 100, request: Failure},
		{at: 100, request: Failure, cause: ConsecutiveFailures, status: Open},
	}
	for _, tc := range []struct {
		name  string
		steps []step
	}{
		{"forced open it refuses for any time, then it probes", []step{
			{at: 100, force: open, cause: Operator, status: Open, forced: ForcedOpen},
			{at: 101, request: Success, refused: true, status: Open, forced: ForcedOpen},
			{at: 99999, request: Success, refused: true, status: Open, forced: ForcedOpen},
			{at: 99999, force: open, status: Open, forced: ForcedOpen},
			{at: 100000, force: none, status: Open},
			{at: 100000, request: Success, status: HalfOpen},
			{at: 100000, request: Success, cause: ProbesSucceeded, status: Closed},
		}},
		{"a failed probe after that starts with the first wait", []step{
			{at: 100, force: open, cause: Operator, status: Open, forced: ForcedOpen},
			{at: 101, force: none, status: Open},
			{at: 101, request: Failure, cause: FailedProbe, status: Open},
			{at: 102, request: Success, refused: true, retry: 9 * time.Second, status: Open},
			{at: 111, request: Success, status: HalfOpen},
		}},
		{"forcing an open breaker open is not a transition", append(failing[:3:3],
			step{at: 101, force: open, status: Open, forced: ForcedOpen},
			step{at: 200, request: Success, refused: true, status: Open, forced: ForcedOpen},
		)},
		{"forced closed it counts no outcome", append(failing[:3:3],
			step{at: 101, force: shut, cause: Operator, status: Closed, forced: ForcedClosed},
			step{at: 101, request: Failure, status: Closed, forced: ForcedClosed},
			step{at: 101, request: Failure, status: Closed, forced: ForcedClosed},
			step{at: 101, request: Failure, status: Closed, forced: ForcedClosed},
			step{at: 101, request: Failure, status: Closed, forced: ForcedClosed},
			step{at: 102, force: none, status: Closed},
			step{at: 102, request: Failure, status: Closed},
			step{at: 102, request: Failure, status: Closed},
			step{at: 102, request: Failure, cause: ConsecutiveFailures, status: Open},
		)},
		{"from closed to open and back", []step{
			{at: 100, force: shut, status: Closed, forced: ForcedClosed},
			{at: 101, force: open, cause: Operator, status: Open, forced: ForcedOpen},
			{at: 102, force: shut, cause: Operator, status: Closed, forced: ForcedClosed},
		}},
		{"a half-open one", append(failing[:3:3],
			step{at: 110, request: Success, status: HalfOpen},
			step{at: 110, force: open, cause: Operator, status: Open, forced: ForcedOpen},
		)},
		{"reset closes it and clears its counts", append(failing[:3:3],
			step{at: 101, reset: true, cause: Operator, status: Closed},
			step{at: 101, request: Failure, status: Closed},
			step{at: 101, request: Failure, status: Closed},
			step{at: 101, reset: true, status: Closed},
			step{at: 101, request: Failure, status: Closed},
			step{at: 101, request: Failure, status: Closed},
			step{at: 101, request: Failure, cause: ConsecutiveFailures, status: Open},
		)},
		{"reset removes the override", []step{
			{at: 100, force: open, cause: Operator, status: Open, forced: ForcedOpen},
			{at: 101, reset: true, cause: Operator, status: Closed},
			{at: 101, request: Success, status: Closed},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s State
			for i, d := range tc.steps {
				now, cause := d.at*second, NoTransition
				generation, since, status := s.Generation, s.Since, s.Status
				switch {
				case d.reset:
					cause = s.Reset(now)
				case d.force != nil:
					_, cause = s.Force(*d.force, now)
				default:
					v := s.Admit(&consecutive, now)
					s.Enter(&v, now)
					if v.Admitted == d.refused || v.RetryAfter != d.retry {
						t.Fatalf("step %d: got %+v, want refused %v, retry after %v", i, v, d.refused, d.retry)
					}
					if v.Admitted {
						_, cause = s.Settle(&consecutive, v.Ticket, Call{Outcome: d.request}, now)
					}
				}
				if cause != d.cause || s.Status != d.status || s.Forced != d.forced {
					t.Fatalf("step %d: got cause %v, status %v, forced %v, want %v, %v, %v", i, cause, s.Status, s.Forced, d.cause, d.status, d.forced)
				}
				if (s.Since == since) != (s.Status == status) && s.Since != now {
					t.Fatalf("step %d: got Since %d, want %d, or %d before", i, s.Since, now, since)
				}
				if (d.reset || d.force != nil && cause != NoTransition) && s.Generation == generation {
					t.Fatalf("step %d: got the same generation %d, want a new one", i, generation)
				}
			}
		})
	}
}

// TestForceInvalidatesTickets: requests that were admitted before an operator's action count nowhere after it.
func TestForceInvalidatesTickets(t *testing.T) {
	one := consecutive
	one.FailureThreshold = 1
	for _, tc := range []struct {
		name string
		do   func(s *State)
	}{
		{"forced open and undone", func(s *State) { s.Force(ForcedOpen, 2*second); s.Force(NotForced, 2*second) }},
		{"forced closed", func(s *State) { s.Force(ForcedClosed, 2*second) }},
		{"forced closed and undone", func(s *State) { s.Force(ForcedClosed, 2*second); s.Force(NotForced, 2*second) }},
		{"reset", func(s *State) { s.Reset(2 * second) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s State
			v := s.Admit(&one, second)
			tc.do(&s)
			after := s
			if changed, cause := s.Settle(&one, v.Ticket, Call{Outcome: Failure}, 3*second); changed || cause != NoTransition || s != after {
				t.Errorf("Settle = %v, %v and %+v, want false, %v and %+v", changed, cause, s, NoTransition, after)
			}
		})
	}
}
