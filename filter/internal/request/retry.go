package request

import (
	"strings"
	"time"

	"github.com/weir-mesh/weir/filter/internal/localreply"
	"github.com/weir-mesh/weir/filter/internal/outcome"
	"github.com/weir-mesh/weir/filter/internal/replay"
	"github.com/weir-mesh/weir/filter/internal/retries"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/policy/retry"
	"github.com/weir-mesh/weir/sharedstate"
)

// With `driver: filter` the first attempt goes through Envoy's router like any request, while the filter keeps a copy
// of the request. If the attempt fails, its response is held back and the filter sends the copy, as often as the policy
// says. Each attempt is admitted by the stages of the cluster that it goes to, and settled with an outcome of its own.
// Between attempts a request holds nothing.

// retryState is the state of a request's retries.
type retryState struct {
	allowed bool          // the request itself allows retries: its method, no upgrade, no long body
	probe   bool          // the breaker is half-open: a probe is sent once
	denied  bool          // the budget or the timeout had no room for another attempt
	made    int           // retries
	held    *heldResponse // nil before the first response is held back
}

// heldResponse is what is known while Envoy holds the first response back.
type heldResponse struct {
	first    outcome.Ending // of the first attempt
	last     *AttemptResult // the last attempt's failed response; nil: the first one's
	deadline int64          // no attempt begins after it; 0: none
	due      int64          // when the next attempt begins
	wait     time.Duration  // before it
	asked    time.Duration  // to wait, by the last attempt's response; 0: it did not ask
}

// defaultTimeout is how long an attempt may take if neither per_try_timeout nor the breaker's timeout is set: Envoy's
// default for a route.
const defaultTimeout = 15 * time.Second

// Records reports whether the request is to be recorded, for another attempt.
func (r *Request) Records() bool {
	rules := r.rules()
	return rules != nil && rules.ByFilter && rules.Most > 0 && r.retry.allowed && !r.retry.probe && !r.in.GRPC
}

// RetriesOn reports whether a response of this kind may be retried, so that it matters whether the request can be sent
// again.
func (r *Request) RetriesOn(status int, details string) bool {
	if !r.Records() {
		return false
	}
	answered := retry.Outcome{Event: retry.Answered, Status: status, GRPC: noGRPC}
	return details != outcome.DetailsUpstream || r.home.retries.Conditions.Retryable(answered)
}

// unsent is why a request that failed can't be sent again, although the policy would; replay.None where it can be, or would
// not be.
func (r *Request) unsent(resp *Response) replay.Reason {
	rules := r.rules()
	if resp.Replayable || rules == nil || !rules.ByFilter || rules.Most == 0 || !r.in.Retry || r.retry.probe ||
		!rules.Conditions.Retryable(r.ending.ForRetry()) {
		return replay.None
	}
	switch {
	case r.in.Connect:
		return replay.Connect
	case r.in.Upgrade:
		return replay.Upgrade
	case r.in.GRPC:
		return replay.GRPC
	case r.in.Long:
		return replay.RequestTooLong
	default:
		return resp.Unsent
	}
}

// MaxRecord is how many bytes of a request's body are recorded; a longer one is sent once.
func (r *Request) MaxRecord() int64 { return r.rules().MaxBody }

func (r *Request) rules() *retries.Rules {
	if r.home == nil {
		return nil
	}
	return r.home.retries
}

// retryLater decides, after an attempt that ended as r.ending, whether another one follows, and sets its time.
func (r *Request) retryLater(retryAfter time.Duration, now int64) bool {
	if !r.Records() {
		return false
	}
	home, rules := r.home, r.home.retries
	if r.retry.made >= rules.Most || !rules.Conditions.Retryable(r.ending.ForRetry()) {
		return false
	}
	if r.retry.held == nil {
		r.retry.held = &heldResponse{first: r.ending, asked: retryAfter}
		if home.timeout > 0 {
			r.retry.held.deadline = max(r.sent, r.progress.whole) + home.timeout
		}
	}
	h := r.retry.held
	wait := rules.Backoff.Wait(r.retry.made, retryAfter, home.worker.Random())
	inTime := h.deadline == 0 || now+int64(wait)+int64(time.Millisecond) < h.deadline
	if r.retry.denied = !inTime || !home.mayRetry(now); r.retry.denied {
		return false
	}
	h.due, h.wait = now+int64(wait), wait
	r.state = Backoff
	return true
}

// mayRetry reports whether the budget has a retry left now.
func (c *Cluster) mayRetry(now int64) (may bool) {
	c.change(func(r *sharedstate.Record) bool {
		may = c.budget.Remaining(r, now) > 0
		return false
	})
	return may
}

// withdraw takes a retry from the budget.
func (c *Cluster) withdraw(now int64) (taken bool) {
	ok := c.change(func(r *sharedstate.Record) bool {
		taken = c.budget.Withdraw(r, now)
		return taken
	})
	if !ok || !taken {
		return false
	}
	c.budget.Withdrawn()
	return true
}

// nextAttempt has the stages decide about the next attempt.
func (r *Request) nextAttempt(keyOf KeyOf, now int64) Step {
	to := r.nextRegion(now)
	if to == nil {
		return r.giveUp(now)
	}
	key := r.in.Key // of the request's own cluster
	if to.key != nil && to != r.home {
		key = keyOf(to)
	}
	r.cluster, r.sent, r.took = to, now, 0
	r.progress = progress{took: stage.Untimed}
	r.attempt = stage.Attempt{Waiter: r, Retry: true, Later: true}
	r.attempt.Limits[0].Slot.Key = key
	v := to.chain.Admit(&r.attempt, now)
	if to.shadow { // a policy in shadow refuses nothing
		r.attempt.StopWaiting()
		v = stage.Verdict{}
	}
	return r.sendAttempt(v, now)
}

// sendAttempt sends an attempt if the stages admitted it.
func (r *Request) sendAttempt(v stage.Verdict, now int64) Step {
	home := r.home
	if v.Pending {
		r.state = Queued
		return Step{Kind: PauseRequest}
	}
	if v.Reason != fallback.None {
		return r.giveUp(now)
	}
	// The breaker may have become half-open meanwhile, and another request may have taken the last of the budget.
	if r.attempt.Held&stage.HeldProbe != 0 || !home.withdraw(now) {
		r.settle(r.settlement(breaker.Neither, true), now)
		return r.giveUp(now)
	}
	r.retry.made++
	r.state, r.sent = Retrying, now
	r.progress = progress{whole: now}
	send := &Send{Cluster: r.cluster.upstream, Via: home.retries.Via, Timeout: r.attemptTimeout(now)}
	if r.cluster != r.route {
		send.Set = []header.Pair{{r.route.failoverRules.Header, r.cluster.upstream}}
	}
	home.observer.Retried(Retry{
		Number: r.retry.made, Of: home.retries.Most, Cluster: send.Cluster, Delay: r.retry.held.wait,
		Cause: r.ending.Cause(&home.failures),
	})
	return Step{Kind: SendAttempt, Send: send}
}

// attemptTimeout is per_try_timeout, but at most what is left of the breaker's timeout; defaultTimeout if neither is
// set.
func (r *Request) attemptTimeout(now int64) time.Duration {
	timeout := time.Duration(r.home.retries.PerTry)
	deadline := r.retry.held.deadline
	if left := time.Duration(deadline - now); deadline > 0 && (timeout == 0 || left < timeout) {
		timeout = left
	}
	if timeout == 0 {
		timeout = defaultTimeout
	}
	return max(timeout, time.Millisecond)
}

// attemptEnded handles the result of an attempt.
func (r *Request) attemptEnded(result *AttemptResult, now int64) Step {
	before := r.ending
	r.took = now - r.sent
	took := r.upstreamTime(false, now)
	r.ending = outcome.Ending{
		Event: outcome.Of(r.kindOf(result.Details), outcome.Whole), Status: result.Status, GRPC: noGRPC, Late: r.cluster.late(took),
		Inner: len(result.Inner) > 0,
	}
	r.progress.answered, r.progress.took = now, took
	home := r.home
	settled := r.ending.Outcome(&r.cluster.failures)
	why := result.Reason
	if why == replay.None && r.ending.Event == outcome.Local {
		why = replay.LocalAnswer
	}
	if why != replay.None {
		home.observer.Uncarried(why)
		r.invalidate(result, now)
	}
	// An answer of another filter of the internal listener, which the first attempt passed, is nobody's failure either.
	if settled != breaker.Failure && (result.uncarried() || r.ending.Event == outcome.Local || r.ending.Event == outcome.None) {
		r.settle(r.settlement(breaker.Neither, true), now)
		r.cluster, r.ending = home, before
		home.observer.Exhausted()
		return r.lastResort(now)
	}
	r.settle(r.settlement(settled, true), now)
	r.cluster = home
	r.retry.held.asked = result.RetryAfter
	if r.retryLater(result.RetryAfter, now) {
		r.retry.held.last = result.hold(home.retries.MaxBody)
		return Step{Kind: HoldResponse}
	}
	if r.retry.held.last = result; result.Reason != replay.None {
		r.retry.held.last = nil
	}
	if r.ranOut() {
		home.observer.Exhausted()
	}
	if result.Reason != replay.None || r.ending.Event != outcome.Answered || r.ending.WantsFallback(&home.failures) {
		return r.lastResort(now)
	}
	r.consider(result.Status, r.ending.Inner)
	home.observer.Responded(fallback.FromUpstream, fallback.None)
	return r.pass(result, r.withLimit(r.withExhausted(onResponse)))
}

// invalidate drops what upstream has changed by an unsafe attempt that it answered well, whose response can't be passed on.
func (r *Request) invalidate(result *AttemptResult, now int64) {
	if r.home.cache == nil || r.home.shadow || r.ending.Event != outcome.Answered || r.ending.Inner {
		return
	}
	if err := r.home.cache.Invalidate(&r.in.Cache, result.Status, now); err != nil {
		r.home.observer.Fault(err)
	}
}

// hold copies a failed attempt's response until the next one has come; nil if it is too long, or can't be sent to the client: then an earlier
// response is used.
func (a *AttemptResult) hold(most int64) *AttemptResult {
	size := int64(len(a.Body))
	for _, h := range a.Headers {
		size += int64(len(h[0]) + len(h[1]))
	}
	if a.Reason != replay.None || size > most {
		return nil
	}
	held := &AttemptResult{Details: a.Details, Status: a.Status, Headers: make([]header.Pair, 0, len(a.Headers))}
	for _, h := range a.Headers {
		held.Headers = append(held.Headers, header.Pair{strings.Clone(h[0]), strings.Clone(h[1])})
	}
	for _, h := range a.Inner {
		held.Inner = append(held.Inner, header.Pair{strings.Clone(h[0]), strings.Clone(h[1])})
	}
	held.Body = append([]byte(nil), a.Body...)
	return held
}

// giveUp ends a request that should be retried but can't.
func (r *Request) giveUp(now int64) Step {
	r.cluster = r.home
	r.retry.denied = true
	r.home.observer.Exhausted()
	return r.lastResort(now)
}

// lastResort answers with a fallback, or else with the last attempt's response.
func (r *Request) lastResort(now int64) Step {
	home, last := r.home, r.retry.held.last
	if r.ending.WantsFallback(&home.failures) {
		if choice := r.findFallback(fallback.UpstreamFailure, now); choice.source != fallback.FromError {
			return r.reply(fallback.UpstreamFailure, r.retry.held.asked, choice)
		}
	}
	exhausted := r.ranOut()
	if last == nil {
		r.ending = r.retry.held.first
	}
	source, set := fallback.FromUpstream, home.onFailure
	switch {
	case r.ending.Event != outcome.Answered:
		source, set = fallback.FromError, home.onLocalError
	case !r.ending.WantsFallback(&home.failures): // the policy retries it, but it is no failure for the breaker
		set = onResponse
	}
	if exhausted {
		set = marked(set, retriesExhausted)
	}
	if last == nil && r.ending.Inner {
		set = nil
	}
	home.observer.Responded(source, fallback.UpstreamFailure)
	return r.pass(last, r.withLimit(set))
}

// pass lets a response through: an attempt's as a local reply, or (result is nil) the one that Envoy holds back.
func (r *Request) pass(result *AttemptResult, set []header.Pair) Step {
	if result == nil {
		r.state = Responding
		return Step{Set: set}
	}
	r.state = Replied
	if len(result.Inner) > 0 {
		set = append(r.withLimit(nil), result.Inner...)
	}
	return Step{Kind: SendReply, Reply: &localreply.Reply{
		Status: result.Status, Headers: replay.With(result.Headers, set), Body: result.Body,
		GRPC: localreply.NoGRPC, Details: detailsReplayed, FromUpstream: true,
	}}
}

// detailsReplayed is what the access log shows for the response to an attempt that the filter made.
const detailsReplayed = "weir_replayed"
