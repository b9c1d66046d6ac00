package limit_test

import (
	"errors"
	"testing"
	"time"

	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/filter/internal/stage/limit"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate"
)

const second = int64(time.Second)

func TestOwn(t *testing.T) {
	s := limit.NewPerCluster(ratelimit.NewTokenBucket(2, 0.5), 0, false)
	record := &sharedstate.Record{}
	for _, tc := range []struct {
		at   int64 // seconds
		want stage.Verdict
	}{
		{100, stage.Verdict{Changed: true}},
		{100, stage.Verdict{Changed: true}},
		{100, stage.Verdict{Reason: fallback.RateLimited, Wait: 2 * time.Second}},
		{101, stage.Verdict{Reason: fallback.RateLimited, Wait: time.Second}},
		{102, stage.Verdict{Changed: true}},
	} {
		c := stage.Attempt{Record: record}
		got := s.Admit(&c, tc.at*second)
		if got != tc.want {
			t.Errorf("at %d s: Admit = %+v, want %+v", tc.at, got, tc.want)
		}
		if admitted := c.Limits[0].Verdict.Admitted; admitted != (tc.want.Reason == fallback.None) {
			t.Errorf("at %d s: got the call's limit admitted %v, want %v", tc.at, admitted, !admitted)
		}
	}
}

// TestOwnTakesOverAnEarlierPolicy: a limit that counted by another policy is used up for this one as well.
func TestOwnTakesOverAnEarlierPolicy(t *testing.T) {
	record := &sharedstate.Record{}
	before, after := limit.NewPerCluster(ratelimit.NewTokenBucket(1, 0.001), 0,
		false), limit.NewPerCluster(ratelimit.NewSlidingWindow(1, time.Hour), 0, false)
	before.Admit(&stage.Attempt{Record: record}, 100*second)
	if got := after.Admit(&stage.Attempt{Record: record}, 100*second); got.Reason != fallback.RateLimited {
		t.Errorf("Admit after the reload = %+v, want rate_limited", got)
	}
}

func adaptive() *ratelimit.Limiter {
	return ratelimit.NewAdaptive(100, time.Second, ratelimit.AdaptiveConfig{
		Threshold: 0.8, Backoff: 0.5, Recovery: 1.2, Interval: time.Second, MinSamples: 1,
	})
}

func TestOutcomesThatMoveAnAdaptiveLimit(t *testing.T) {
	for _, tc := range []struct {
		name string
		stage.Settlement
		want bool
	}{
		{"success", stage.Settlement{Known: true, Outcome: breaker.Success}, true},
		{"failure", stage.Settlement{Known: true, Outcome: breaker.Failure}, true},
		{"neither", stage.Settlement{Known: true, Outcome: breaker.Neither}, false},
		{"over", stage.Settlement{Over: true, Outcome: breaker.Failure}, false},
	} {
		perCluster, c := limit.NewPerCluster(adaptive(), 0, true), stage.Attempt{Record: &sharedstate.Record{}}
		perCluster.Admit(&c, 100*second)
		if got := perCluster.Settle(&c, tc.Settlement, 100*second); got != tc.want {
			t.Errorf("PerCluster, %s: Settle = %v, want %v", tc.name, got, tc.want)
		}
		c = ofKey(1)
		byKey := limit.NewPerKey(sharedstate.NewMemory(), "aws", adaptive(), 0, 32, true, &reporter{})
		byKey.Admit(&c, 100*second)
		if got := byKey.Settle(&c, tc.Settlement, 100*second); got != tc.want {
			t.Errorf("PerKey, %s: Settle = %v, want %v", tc.name, got, tc.want)
		}
	}
}

type reporter struct{ faults int }

func (r *reporter) Conflicts(int) {}
func (r *reporter) Fault(error)   { r.faults++ }

func TestPerKeyCountsEachKey(t *testing.T) {
	r := &reporter{}
	s := limit.NewPerKey(sharedstate.NewMemory(), "aws", ratelimit.NewTokenBucket(1, 1), 0, 32, false, r)
	for i, tc := range []struct {
		key  uint64
		at   int64 // seconds
		want fallback.Reason
	}{
		{1, 100, fallback.None},
		{1, 100, fallback.RateLimited},
		{2, 100, fallback.None},
		{2, 100, fallback.RateLimited},
		{1, 101, fallback.None},
	} {
		c := ofKey(tc.key)
		if got := s.Admit(&c, tc.at*second); got.Reason != tc.want {
			t.Errorf("request %d, key %d at %d s: Admit = %+v, want %v", i, tc.key, tc.at, got, tc.want)
		}
	}
	if r.faults > 0 {
		t.Errorf("got %d faults, want none", r.faults)
	}
}

type brokenStore struct{}

func (brokenStore) Get(string) ([]byte, uint32, error) { return nil, 0, errors.New("store broken") }
func (brokenStore) Set(string, []byte, uint32) error   { return errors.New("store broken") }

func TestPerKeyPassesWhenTheStoreFails(t *testing.T) {
	r := &reporter{}
	s := limit.NewPerKey(brokenStore{}, "aws", ratelimit.NewTokenBucket(1, 1), 0, 32, false, r)
	for range 3 {
		var c stage.Attempt
		if got := s.Admit(&c, 100*second); got != (stage.Verdict{}) || c.Limits[0] != (stage.Limit{}) {
			t.Errorf("Admit = %+v with %+v, want it admitted without a limit's verdict", got, c.Limits[0])
		}
	}
	if r.faults != 3 {
		t.Errorf("got %d faults, want 3", r.faults)
	}
}

// ofKey is an attempt at a request with this key.
func ofKey(key uint64) (a stage.Attempt) {
	a.Limits[0].Slot.Key = sharedstate.Fingerprint{Lo: key}
	return a
}
