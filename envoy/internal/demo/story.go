package demo

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/weir-mesh/weir/policy"
)

const (
	pollEvery = 50 * time.Millisecond // between two tries of what has to come in time
	whileOpen = 5                     // requests sent to an open breaker
	tooMany   = 100                   // requests without a refusal that make the rate limit a failure
)

// story walks a policy's life on one cluster, request by request, and checks each step by the answers and by the
// upstream's own count.
type story struct {
	base     string // the proxy's URL
	upstream *upstream
	policy   *policy.Policy
	account  *account
	slack    time.Duration // how much later than the policy says a thing may be seen on a busy machine

	opened time.Time // before the request was sent whose failure opened the breaker
}

func (s *story) tell(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.allowed, s.refused, s.opening, s.open, s.failedProbe, s.halfOpen, s.closed, s.chain,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) allowed(ctx context.Context) error {
	s.account.step("Allowed")
	s.account.say("The upstream is healthy; one request goes through.")
	before := s.upstream.count()
	got, err := get(ctx, s.base, prices)
	if err != nil {
		return err
	}
	s.account.answer(got)
	reached := s.upstream.count() - before
	return s.account.check(got.isUpstreams() && reached == 1,
		"200 from the upstream, whose count went up by %d", reached)
}

func (s *story) refused(ctx context.Context) error {
	limit := s.policy.RateLimit
	s.account.step("Refused over the limit")
	s.account.say("Requests as fast as they go, until the bucket of %d tokens is empty.", limit.Burst)
	before := s.upstream.count()
	begun := time.Now()
	var admitted int64
	var got answer
	for range tooMany {
		var err error
		if got, err = get(ctx, s.base, prices); err != nil {
			return err
		}
		if !got.isUpstreams() {
			break
		}
		admitted++
	}
	s.account.say("%d more answered 200, then:", admitted)
	s.account.answer(got)
	wait, hasWait := got.retryAfter()
	reached := s.upstream.count() - before
	if err := s.account.check(got.isRefused() && hasWait, "429 with Retry-After"); err != nil {
		return err
	}
	bound := float64(limit.Burst) + limit.Refill*time.Since(begun).Seconds()
	if err := s.account.check(reached == admitted && float64(admitted) <= bound,
		"the upstream saw the %d admitted requests and no refused one", reached); err != nil {
		return err
	}
	again, err := s.await(ctx, wait+s.slack, func(a answer) bool { return a.isUpstreams() })
	if err != nil {
		return err
	}
	return s.account.check(again.isUpstreams(), "allowed again %s later, with a new token", again.sent.Sub(got.sent).Round(time.Millisecond))
}

func (s *story) opening(ctx context.Context) error {
	threshold := int64(s.policy.CircuitBreaker.FailureThreshold)
	s.account.step("The breaker opens")
	s.account.say("The upstream now answers 503 to everything. %d failures in a row open the breaker.", threshold)
	s.upstream.fail()
	before := s.upstream.count()
	var failures int64
	for failures < threshold {
		got, err := s.await(ctx, s.slack, func(a answer) bool { return !a.isRefused() })
		if err != nil {
			return err
		}
		if !got.isDefault("upstream_failure") {
			return s.account.check(false, "default data in place of failure %d of %d; got %s", failures+1, threshold, got)
		}
		if failures == 0 {
			s.account.answer(got)
		}
		failures++
		s.opened = got.sent
	}
	reached := s.upstream.count() - before
	return s.account.check(reached == threshold,
		"%d failures reached the upstream; the clients got 200 with the default data each time", reached)
}

func (s *story) open(ctx context.Context) error {
	s.account.step("Open: the upstream is left alone")
	before := s.upstream.count()
	var last answer
	for range whileOpen {
		got, err := get(ctx, s.base, prices)
		if err != nil {
			return err
		}
		if !got.isDefault("circuit_open") {
			return s.account.check(false, "default data while the breaker is open; got %s", got)
		}
		last = got
	}
	s.account.answer(last)
	reached := s.upstream.count() - before
	if err := s.account.check(strings.Contains(last.body, `"degraded":true`), "the body is the policy's default_data"); err != nil {
		return err
	}
	return s.account.check(reached == 0, "%d requests answered, %d reached the upstream", whileOpen, reached)
}

func (s *story) failedProbe(ctx context.Context) error {
	recovery := s.policy.CircuitBreaker.RecoveryTimeout
	s.account.step("Half-open: one probe, and it fails")
	s.account.say("The upstream still fails. After recovery_timeout, %s, one request may probe it.", recovery)
	before := s.upstream.count()
	probe, err := s.await(ctx, recovery+s.slack, func(a answer) bool { return a.isDefault("upstream_failure") })
	if err != nil {
		return err
	}
	after := time.Since(s.opened)
	reached := s.upstream.count() - before
	if err := s.account.check(probe.isDefault("upstream_failure") && reached == 1 && after >= recovery,
		"%d request reached the upstream, %s after the breaker opened", reached, after.Round(time.Millisecond)); err != nil {
		return err
	}
	s.opened = probe.sent
	next, err := get(ctx, s.base, prices)
	if err != nil {
		return err
	}
	s.account.answer(next)
	reached = s.upstream.count() - before
	return s.account.check(next.isDefault("circuit_open") && reached == 1,
		"that single failure opened the breaker again; the next request did not reach the upstream")
}

func (s *story) halfOpen(ctx context.Context) error {
	breaker := s.policy.CircuitBreaker
	s.account.step("Half-open: the upstream has recovered")
	s.account.say("The upstream is healthy again. After another %s, %d successful probes close the breaker.", breaker.RecoveryTimeout, breaker.SuccessThreshold)
	s.upstream.heal()
	before := s.upstream.count()
	for probe := 1; probe <= breaker.SuccessThreshold; probe++ {
		got, err := s.await(ctx, breaker.RecoveryTimeout+s.slack, func(a answer) bool { return a.isUpstreams() })
		if err != nil {
			return err
		}
		if probe == 1 {
			s.account.answer(got)
			after := time.Since(s.opened)
			if err := s.account.check(got.isUpstreams() && after >= breaker.RecoveryTimeout,
				"the first probe passed, %s after the breaker opened again", after.Round(time.Millisecond)); err != nil {
				return err
			}
		}
	}
	reached := s.upstream.count() - before
	return s.account.check(reached == int64(breaker.SuccessThreshold), "%d probes reached the upstream and came back with 200", reached)
}

// closed tells a closed breaker from a half-open one, which a single failure opens.
func (s *story) closed(ctx context.Context) error {
	s.account.step("Closed")
	s.account.say("One failure more: half-open it would open the breaker, closed it is only counted.")
	s.upstream.fail()
	failed, err := s.await(ctx, s.slack, func(a answer) bool { return !a.isRefused() })
	if err != nil {
		return err
	}
	s.upstream.heal()
	before := s.upstream.count()
	got, err := s.await(ctx, s.slack, func(a answer) bool { return !a.isRefused() })
	if err != nil {
		return err
	}
	s.account.answer(got)
	reached := s.upstream.count() - before
	return s.account.check(failed.isDefault("upstream_failure") && got.isUpstreams() && reached == 1,
		"after a single failure the next request reached the upstream: the breaker is closed")
}

// chain lets an answer grow old while the upstream fails.
func (s *story) chain(ctx context.Context) error {
	fallback := s.policy.Fallback
	s.account.step("The fallback chain")
	s.account.say("The prices said `cache-control: no-store`, so they were never kept. The catalogue may be: one request for it.")
	kept, err := s.awaitPath(ctx, catalogue, s.slack, func(a answer) bool { return a.isUpstreams() })
	if err != nil {
		return err
	}
	if err := s.account.check(kept.isUpstreams(), "200 from the upstream"); err != nil {
		return err
	}
	s.account.say("The upstream fails again.")
	s.upstream.fail()
	defer s.upstream.heal()
	for _, next := range []struct {
		after time.Duration // the age from which this answers
		seen  func(answer) bool
		text  string
	}{
		{
			0, func(a answer) bool { return a.isCached("cache") && a.body == kept.body },
			fmt.Sprintf("the same answer from the cache, up to fallback_data_ttl, %s", fallback.TTL),
		},
		{fallback.TTL, func(a answer) bool {
			return a.isCached("stale_cache") && a.body == kept.body && a.header.Get("Warning") != ""
		}, fmt.Sprintf("and with a warning up to cache_staleness_threshold, %s", fallback.Staleness)},
		{
			fallback.Staleness, func(a answer) bool { return a.code == http.StatusOK && a.source() == "default" },
			"then it is too old for anybody: the default data",
		},
	} {
		got, err := s.awaitPath(ctx, catalogue, next.after+s.slack, func(a answer) bool { return next.seen(a) })
		if err != nil {
			return err
		}
		s.account.answer(got)
		if err := s.account.check(next.seen(got) && time.Since(kept.sent) >= next.after, "%s", next.text); err != nil {
			return err
		}
	}
	return nil
}

// await sends requests until one is answered as wanted, and gives the last answer when the time is over, for the
// step to judge. What came before is told in a line, since a wait is part of the story.
func (s *story) await(ctx context.Context, limit time.Duration, wanted func(answer) bool) (answer, error) {
	return s.awaitPath(ctx, prices, limit, wanted)
}

func (s *story) awaitPath(ctx context.Context, path string, limit time.Duration, wanted func(answer) bool) (answer, error) {
	deadline := time.Now().Add(limit)
	begun := time.Now()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	others := map[string]int{}
	for {
		got, err := get(ctx, s.base, path)
		if err != nil {
			return answer{}, err
		}
		if wanted(got) || time.Now().After(deadline) {
			for reason, n := range others {
				s.account.say("(%d requests in %s answered meanwhile: %s)", n, time.Since(begun).Round(100*time.Millisecond), reason)
			}
			return got, nil
		}
		others[strings.TrimSpace(fmt.Sprintf("%d %s %s", got.code, got.source(), got.reason()))]++
		select {
		case <-ctx.Done():
			return answer{}, ctx.Err()
		case <-poll.C:
		}
	}
}
