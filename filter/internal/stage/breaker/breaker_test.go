package breaker_test

import (
	"slices"
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/filter/internal/stage/breaker"
	"github.com/weir-mesh/weir/policy"
	policybreaker "github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/compile"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate"
)

const second = int64(time.Second)

type observer struct{ got []string }

func (o *observer) Transition(from, to policybreaker.Status, cause string) {
	o.got = append(o.got, from.String()+" -> "+to.String()+": "+cause)
}

// TestTransitionsAreReportedOnce: once the change is stored, and not where it could not be.
func TestTransitionsAreReportedOnce(t *testing.T) {
	d, err := policy.Decode([]byte(`{"clusters":{"aws":{"circuit_breaker":{"failure_threshold":1,"recovery_timeout":"10s"}}}}`),
		func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	failures := policy.DefaultFailures()
	o, record := &observer{}, &sharedstate.Record{}
	s := breaker.New(compile.Breaker(d.For("aws").CircuitBreaker), &failures, o)
	failed := stage.Settlement{
		Known: true, Outcome: policybreaker.Failure, Ending: &outcome.Ending{Event: outcome.Answered, Status: 503, GRPC: outcome.NoGRPC},
	}
	settle := func(stored bool) {
		c := stage.Attempt{Record: record}
		s.Admit(&c, 100*second)
		s.Done(&c, stage.Settlement{}, true)
		s.Settle(&c, failed, 100*second)
		s.Done(&c, failed, stored)
		s.Done(&c, failed, stored)
	}
	settle(false)
	if len(o.got) > 0 {
		t.Errorf("not stored: got %q, want none", o.got)
	}
	*record = sharedstate.Record{}
	settle(true)
	if want := []string{"closed -> open: consecutive_failures, status 503"}; !slices.Equal(o.got, want) {
		t.Errorf("stored: got %q, want %q", o.got, want)
	}
	c := stage.Attempt{Record: record}
	if got, want := s.Admit(&c, 101*second), (stage.Verdict{Reason: fallback.CircuitOpen, Wait: 9 * time.Second}); got != want {
		t.Errorf("open: Admit = %+v, want %+v", got, want)
	}
	if got := s.Admit(&c, 110*second); got.Reason != fallback.None || c.Held != stage.HeldProbe {
		t.Errorf("after recovery_timeout: Admit = %+v, held %b; want a probe", got, c.Held)
	}
	s.Done(&c, stage.Settlement{}, true)
	if got, want := o.got[len(o.got)-1], "open -> half_open: recovery_timeout"; got != want {
		t.Errorf("got last transition %q, want %q", got, want)
	}
}
