package breaker

import (
	"testing"
	"time"
)

// deed is something done to a breaker: by an operator, or a request from its asking to its end.
type deed struct {
	at      int64 // seconds
	force   *Forced
	reset   bool
	request Outcome // Neither: it asks, and its client leaves

	refused bool
	retry   time.Duration
	cause   Cause // of what was done, or of the request's end
	status  Status
	forced  Forced
}

func forced(f Forced) *Forced { return &f }

func TestForce(t *testing.T) {
	open, shut, alone := forced(ForcedOpen), forced(ForcedClosed), forced(NotForced)
	failing := []deed{ // three failures open it at 100 s
		{at: 100, request: Failure},
		{at: 100, request: Failure},
		{at: 100, request: Failure, cause: ConsecutiveFailures, status: Open},
	}
	for _, tc := range []struct {
		name  string
		deeds []deed
	}{
		{"forced open it refuses whatever the time, and once left alone it probes", []deed{
			{at: 100, force: open, cause: Operator, status: Open, forced: ForcedOpen},
			{at: 101, request: Success, refused: true, status: Open, forced: ForcedOpen},
			{at: 99999, request: Success, refused: true, status: Open, forced: ForcedOpen},
			{at: 99999, force: open, status: Open, forced: ForcedOpen},
			{at: 100000, force: alone, status: Open},
			{at: 100000, request: Success, status: HalfOpen},
			{at: 100000, request: Success, cause: ProbesSucceeded, status: Closed},
		}},
		{"a probe that fails after that waits as after the first failures", []deed{
			{at: 100, force: open, cause: Operator, status: Open, forced: ForcedOpen},
			{at: 101, force: alone, status: Open},
			{at: 101, request: Failure, cause: FailedProbe, status: Open},
			{at: 102, request: Success, refused: true, retry: 9 * time.Second, status: Open},
			{at: 111, request: Success, status: HalfOpen},
		}},
		{"an open breaker that is forced open had its transition already", append(failing[:3:3],
			deed{at: 101, force: open, status: Open, forced: ForcedOpen},
			deed{at: 200, request: Success, refused: true, status: Open, forced: ForcedOpen},
		)},
		{"forced closed nothing opens it, nor counts", append(failing[:3:3],
			deed{at: 101, force: shut, cause: Operator, status: Closed, forced: ForcedClosed},
			deed{at: 101, request: Failure, status: Closed, forced: ForcedClosed},
			deed{at: 101, request: Failure, status: Closed, forced: ForcedClosed},
			deed{at: 101, request: Failure, status: Closed, forced: ForcedClosed},
			deed{at: 101, request: Failure, status: Closed, forced: ForcedClosed},
			deed{at: 102, force: alone, status: Closed},
			deed{at: 102, request: Failure, status: Closed},
			deed{at: 102, request: Failure, status: Closed},
			deed{at: 102, request: Failure, cause: ConsecutiveFailures, status: Open},
		)},
		{"from closed to open and back", []deed{
			{at: 100, force: shut, status: Closed, forced: ForcedClosed},
			{at: 101, force: open, cause: Operator, status: Open, forced: ForcedOpen},
			{at: 102, force: shut, cause: Operator, status: Closed, forced: ForcedClosed},
		}},
		{"a half-open one", append(failing[:3:3],
			deed{at: 110, request: Success, status: HalfOpen},
			deed{at: 110, force: open, cause: Operator, status: Open, forced: ForcedOpen},
		)},
		{"reset closes it and forgets", append(failing[:3:3],
			deed{at: 101, reset: true, cause: Operator, status: Closed},
			deed{at: 101, request: Failure, status: Closed},
			deed{at: 101, request: Failure, status: Closed},
			deed{at: 101, reset: true, status: Closed},
			deed{at: 101, request: Failure, status: Closed},
			deed{at: 101, request: Failure, status: Closed},
			deed{at: 101, request: Failure, cause: ConsecutiveFailures, status: Open},
		)},
		{"reset takes back what was forced", []deed{
			{at: 100, force: open, cause: Operator, status: Open, forced: ForcedOpen},
			{at: 101, reset: true, cause: Operator, status: Closed},
			{at: 101, request: Success, status: Closed},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s State
			for i, d := range tc.deeds {
				now, cause := d.at*second, Unmoved
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
						t.Fatalf("deed %d: %+v", i, v)
					}
					if v.Admitted {
						_, cause = s.Settle(&consecutive, v.Ticket, Call{Outcome: d.request}, now)
					}
				}
				if cause != d.cause || s.Status != d.status || s.Forced != d.forced {
					t.Fatalf("deed %d: cause %v, status %v, forced %v; want %v, %v, %v", i, cause, s.Status, s.Forced, d.cause, d.status, d.forced)
				}
				if (s.Since == since) != (s.Status == status) && s.Since != now {
					t.Fatalf("deed %d: since %d, was %d", i, s.Since, since)
				}
				if (d.reset || d.force != nil && cause != Unmoved) && s.Generation == generation {
					t.Fatalf("deed %d: what was admitted before would still count", i)
				}
			}
		})
	}
}

// TestForceLeavesNoTicket: what was admitted before an operator's word says nothing after it.
func TestForceLeavesNoTicket(t *testing.T) {
	one := consecutive
	one.FailureThreshold = 1
	for _, tc := range []struct {
		name string
		do   func(s *State)
	}{
		{"forced open and left alone", func(s *State) { s.Force(ForcedOpen, 2*second); s.Force(NotForced, 2*second) }},
		{"forced closed", func(s *State) { s.Force(ForcedClosed, 2*second) }},
		{"forced closed and left alone", func(s *State) { s.Force(ForcedClosed, 2*second); s.Force(NotForced, 2*second) }},
		{"reset", func(s *State) { s.Reset(2 * second) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s State
			v := s.Admit(&one, second)
			tc.do(&s)
			after := s
			if changed, cause := s.Settle(&one, v.Ticket, Call{Outcome: Failure}, 3*second); changed || cause != Unmoved || s != after {
				t.Errorf("changed %v by %v: %+v", changed, cause, s)
			}
		})
	}
}
