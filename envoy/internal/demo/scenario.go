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
	pollEvery = 50 * time.Millisecond // between two requests that wait for a change
	whileOpen = 5                     // requests sent to an open breaker
	tooMany   = 100                   // admitted requests without a refusal after which the rate limit fails its check
)

// scenario takes one cluster through all states of its policy, request by request, and checks each step by the
// responses and by the upstream's count of requests.
type scenario struct {
	base     string // the proxy's URL
	upstream *upstream
	policy   *policy.Policy
	out      *printer
	slack    time.Duration // how much later than the policy says a change may be seen on a busy machine

	opened time.Time // when the request that opened the breaker was sent
}

func (s *scenario) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		s.allowed, s.refused, s.opening, s.open, s.failedProbe, s.halfOpen, s.closed, s.chain,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *scenario) allowed(ctx context.Context) error {
	s.out.step("Allowed")
	s.out.note("The upstream is healthy. One request is sent.")
	before := s.upstream.count()
	got, err := get(ctx, s.base, prices)
	if err != nil {
		return err
	}
	s.out.answer(got)
	reached := s.upstream.count() - before
	return s.out.check(got.isUpstreams() && reached == 1,
		"200 from the upstream, which got %d request", reached)
}

func (s *scenario) refused(ctx context.Context) error {
	limit := s.policy.RateLimit
	s.out.step("Refused over the limit")
	s.out.note("Requests are sent without a pause until the bucket of %d tokens is empty.", limit.Burst)
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
	s.out.note("%d more requests get 200, then:", admitted)
	s.out.answer(got)
	wait, hasWait := got.retryAfter()
	reached := s.upstream.count() - before
	if err := s.out.check(got.isRefused() && hasWait, "429 with Retry-After"); err != nil {
		return err
	}
	bound := float64(limit.Burst) + limit.Refill*time.Since(begun).Seconds()
	if err := s.out.check(reached == admitted && float64(admitted) <= bound,
		"the upstream got the %d admitted requests and no refused one", reached); err != nil {
		return err
	}
	again, err := s.await(ctx, wait+s.slack, func(a answer) bool { return a.isUpstreams() })
	if err != nil {
		return err
	}
	return s.out.check(again.isUpstreams(), "allowed again after %s, with a new token", again.sent.Sub(got.sent).Round(time.Millisecond))
}

func (s *scenario) opening(ctx context.Context) error {
	threshold := int64(s.policy.CircuitBreaker.FailureThreshold)
	s.out.step("The breaker opens")
	s.out.note("The upstream now answers every request with 503. %d consecutive failures open the breaker.", threshold)
	s.upstream.fail()
	before := s.upstream.count()
	var failures int64
	for failures < threshold {
		got, err := s.await(ctx, s.slack, func(a answer) bool { return !a.isRefused() })
		if err != nil {
			return err
		}
		if !got.isDefault("upstream_failure") {
			return s.out.check(false, "default data instead of failure %d of %d; got %s", failures+1, threshold, got)
		}
		if failures == 0 {
			s.out.answer(got)
		}
		failures++
		s.opened = got.sent
	}
	reached := s.upstream.count() - before
	return s.out.check(reached == threshold,
		"%d requests failed at the upstream; each client got 200 with the default data", reached)
}

func (s *scenario) open(ctx context.Context) error {
	s.out.step("Open: the upstream gets no requests")
	before := s.upstream.count()
	var last answer
	for range whileOpen {
		got, err := get(ctx, s.base, prices)
		if err != nil {
			return err
		}
		if !got.isDefault("circuit_open") {
			return s.out.check(false, "default data while the breaker is open; got %s", got)
		}
		last = got
	}
	s.out.answer(last)
	reached := s.upstream.count() - before
	if err := s.out.check(strings.Contains(last.body, `"degraded":true`), "the body is the policy's default_data"); err != nil {
		return err
	}
	return s.out.check(reached == 0, "%d requests were answered, %d reached the upstream", whileOpen, reached)
}

func (s *scenario) failedProbe(ctx context.Context) error {
	recovery := s.policy.CircuitBreaker.RecoveryTimeout
	s.out.step("Half-open: the probe fails")
	s.out.note("The upstream still fails. After recovery_timeout, %s, one request is admitted as a probe.", recovery)
	before := s.upstream.count()
	probe, err := s.await(ctx, recovery+s.slack, func(a answer) bool { return a.isDefault("upstream_failure") })
	if err != nil {
		return err
	}
	after := time.Since(s.opened)
	reached := s.upstream.count() - before
	if err := s.out.check(probe.isDefault("upstream_failure") && reached == 1 && after >= recovery,
		"%d probe reached the upstream, %s after the breaker opened", reached, after.Round(time.Millisecond)); err != nil {
		return err
	}
	s.opened = probe.sent
	next, err := get(ctx, s.base, prices)
	if err != nil {
		return err
	}
	s.out.answer(next)
	reached = s.upstream.count() - before
	return s.out.check(next.isDefault("circuit_open") && reached == 1,
		"this one failure opened the breaker again; the next request did not reach the upstream")
}

func (s *scenario) halfOpen(ctx context.Context) error {
	breaker := s.policy.CircuitBreaker
	s.out.step("Half-open: the upstream has recovered")
	s.out.note("The upstream is healthy again. After another %s, %d successful probes close the breaker.", breaker.RecoveryTimeout, breaker.SuccessThreshold)
	s.upstream.heal()
	before := s.upstream.count()
	for probe := 1; probe <= breaker.SuccessThreshold; probe++ {
		got, err := s.await(ctx, breaker.RecoveryTimeout+s.slack, func(a answer) bool { return a.isUpstreams() })
		if err != nil {
			return err
		}
		if probe == 1 {
			s.out.answer(got)
			after := time.Since(s.opened)
			if err := s.out.check(got.isUpstreams() && after >= breaker.RecoveryTimeout,
				"the first probe was admitted %s after the breaker opened again", after.Round(time.Millisecond)); err != nil {
				return err
			}
		}
	}
	reached := s.upstream.count() - before
	return s.out.check(reached == int64(breaker.SuccessThreshold), "%d probes reached the upstream and got 200", reached)
}

// closed checks that the breaker is closed: a half-open breaker would open after a single failure.
func (s *scenario) closed(ctx context.Context) error {
	s.out.step("Closed")
	s.out.note("One more failure: a half-open breaker would open, a closed one only counts it.")
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
	s.out.answer(got)
	reached := s.upstream.count() - before
	return s.out.check(failed.isDefault("upstream_failure") && got.isUpstreams() && reached == 1,
		"after a single failure the next request reached the upstream: the breaker is closed")
}

// chain checks the fallbacks in order, while the upstream fails and the cached response ages.
func (s *scenario) chain(ctx context.Context) error {
	fallback := s.policy.Fallback
	s.out.step("The fallback chain")
	s.out.note("The prices have `cache-control: no-store`, so they are not cached. The catalogue can be cached: one request for it.")
	kept, err := s.awaitPath(ctx, catalogue, s.slack, func(a answer) bool { return a.isUpstreams() })
	if err != nil {
		return err
	}
	if err := s.out.check(kept.isUpstreams(), "200 from the upstream"); err != nil {
		return err
	}
	s.out.note("The upstream fails again.")
	s.upstream.fail()
	defer s.upstream.heal()
	for _, next := range []struct {
		after time.Duration // the age from which this answers
		seen  func(answer) bool
		text  string
	}{
		{
			0, func(a answer) bool { return a.isCached("cache") && a.body == kept.body },
			fmt.Sprintf("the cached response, up to fallback_data_ttl, %s", fallback.TTL),
		},
		{fallback.TTL, func(a answer) bool {
			return a.isCached("stale_cache") && a.body == kept.body && a.header.Get("Warning") != ""
		}, fmt.Sprintf("the cached response with a warning, up to cache_staleness_threshold, %s", fallback.Staleness)},
		{
			fallback.Staleness, func(a answer) bool { return a.code == http.StatusOK && a.source() == "default" },
			"the default data, since the cached response is older than that",
		},
	} {
		got, err := s.awaitPath(ctx, catalogue, next.after+s.slack, func(a answer) bool { return next.seen(a) })
		if err != nil {
			return err
		}
		s.out.answer(got)
		if err := s.out.check(next.seen(got) && time.Since(kept.sent) >= next.after, "%s", next.text); err != nil {
			return err
		}
	}
	return nil
}

// await sends requests until wanted accepts a response, and returns the last response, also when the time is over: the
// step checks it. It prints a line about the responses before that.
func (s *scenario) await(ctx context.Context, limit time.Duration, wanted func(answer) bool) (answer, error) {
	return s.awaitPath(ctx, prices, limit, wanted)
}

func (s *scenario) awaitPath(ctx context.Context, path string, limit time.Duration, wanted func(answer) bool) (answer, error) {
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
				s.out.note("(%d requests in %s were answered: %s)", n, time.Since(begun).Round(100*time.Millisecond), reason)
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
