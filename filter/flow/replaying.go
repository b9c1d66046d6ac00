package flow

import (
	"strings"
	"time"

	"github.com/weir-mesh/weir/filter/replay"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate"
)

// With `driver: filter` the first try goes through Envoy's router like any request, while the filter keeps a copy of it.
// If it fails, its answer is held back and the filter sends the copy, as often as the policy says:
//
//	Answer ── Wait ──► Again ── Replay ──► Replayed ── SendReply    the answer of the last try, or a fallback's
//	  │                 │ ▲                  │
//	  │                 │ └────── Wait ──────┘
//	  ▼                 ▼
//	the first answer goes on: nothing was sent again
//
// Each try asks the limits, the breaker and the bulkhead of the cluster that it goes to, and is an outcome of its own.
// Between tries a request holds nothing.

// replaying is what an exchange knows of the tries that the filter makes.
type replaying struct {
	home     *Plan // of the cluster that the request is for; Exchange.plan is that of the try's
	stage    stage
	deadline int64 // no try begins after it; 0: none
	due      int64 // when the next one begins
	wait     time.Duration
	first    ending   // of the first try, whose answer Envoy holds back
	last     *Attempt // the last try's answer, where it failed; nil: the first one's
}

// stage is what a request with replays does.
type stage uint8

const (
	stageFirst stage = iota // its first try is made, or it is over
	stageWait               // it waits for the next one
	stageAsk                // the next one's limit waits for Redis
	stageOut                // the next one is out
)

// Call is a try that is to be sent.
type Call struct {
	Cluster string
	Timeout time.Duration // at least 1 ms
}

// Attempt is what a replayed try came to.
type Attempt struct {
	Details    string        // in the words of response.code_details, which classify reads; "" where upstream had no part
	Status     int           // of an answer, also of one that Envoy gave in upstream's place
	RetryAfter time.Duration // that upstream asked for, 0: it did not
	Headers    []Header      // of the answer, as a local reply can have them
	Body       []byte        // and its body. Both last as long as the callback
	Unfit      bool          // the client can't have it: it counts, and the first answer stands
}

// untimed is how long a try may take where neither the policy nor the breaker says: Envoy's own default for a route.
const untimed = 15 * time.Second

// Records says whether the exchange wants a copy of the request that goes on, for another try.
func (x *Exchange) Records() bool {
	rt := x.retries()
	return rt != nil && rt.replays && x.retry.listed && !x.retry.probe && rt.most > 0 && !x.request.GRPC
}

// MaxRecord is how many bytes of a request's body are recorded; a longer one is not sent again.
func (x *Exchange) MaxRecord() int64 { return x.retries().maxBody }

func (x *Exchange) retries() *retries {
	if x.plan == nil {
		return nil
	}
	return x.home().retries
}

// home is the plan of the cluster that the request is for.
func (x *Exchange) home() *Plan {
	if x.replay.home != nil {
		return x.replay.home
	}
	return x.plan
}

// again decides, after a try that came to x.ending, whether another one follows, and when. Whole: the request can be
// sent again.
func (x *Exchange) again(whole bool, retryAfter time.Duration, now int64) bool {
	if !whole || !x.Records() {
		return false
	}
	home := x.home()
	rt, r := home.retries, &x.replay
	if x.retry.made >= rt.most || !rt.conditions.Retryable(x.ending.attempt()) {
		return false
	}
	if r.home == nil {
		r.home = home
		r.first = x.ending
		if home.timeout > 0 {
			r.deadline = x.begun + home.timeout
		}
	}
	wait := rt.backoff.Wait(x.retry.made, retryAfter, home.worker.random.Uint64())
	if r.deadline > 0 && now+int64(wait)+int64(time.Millisecond) >= r.deadline {
		x.retry.none = true
		return false
	}
	if x.retry.none = !home.budgetLeft(now); x.retry.none {
		return false
	}
	r.stage, r.due, r.wait = stageWait, now+int64(wait), wait
	return true
}

// budgetLeft says whether a retry could be taken now.
func (p *Plan) budgetLeft(now int64) (left bool) {
	_, err := p.cell.Update(func() bool {
		left = p.retries.budget.Remaining(p.retries.state(p.record.Budget), now) > 0
		return false
	})
	if err != nil {
		p.observer.Fault(err)
	}
	return left
}

// withdraw takes a retry from the budget.
func (p *Plan) withdraw(now int64) (ok bool) {
	conflicts, err := p.cell.Update(func() bool {
		p.record.Budget = p.retries.state(p.record.Budget)
		ok = p.retries.budget.Withdraw(p.record.Budget, now)
		return ok
	})
	p.observer.Conflicts(conflicts)
	if err != nil {
		p.observer.Fault(err)
		return false
	}
	return ok
}

// Waits says until when the exchange waits for its next try, where it does.
func (x *Exchange) Waits() (due int64, ok bool) {
	return x.replay.due, x.replay.stage == stageWait
}

// Replaying says that the request's answer is held back while other tries are made.
func (x *Exchange) Replaying() bool { return x.replay.stage != stageFirst }

// Again makes the next try, at time now. Key hashes the request for a limit by key of another cluster.
func (x *Exchange) Again(key func(*Plan) sharedstate.Fingerprint, now int64) Step {
	if x.replay.stage != stageWait {
		return Step{}
	}
	to := x.region(now)
	if to == nil {
		return x.giveUp(now)
	}
	if to.Keyed() && to != x.plan {
		x.request.Key = key(to)
	}
	x.plan, x.ticket, x.begun, x.took = to, breaker.Ticket{Slot: -1}, now, 0
	x.replay.stage = stageAsk
	reason, _ := x.admit(now)
	if x.plan.shadow { // what it would refuse is nothing to this request
		x.stopWaiting()
		reason = fallback.None
	}
	if x.queue != nil {
		return Step{Kind: Pause}
	}
	return x.send(reason, now)
}

// region is the plan of the cluster that the next try goes to, nil where there is none whose breaker is closed: with
// failover the next one of the list with each try, else the request's own.
func (x *Exchange) region(now int64) *Plan {
	home := x.replay.home
	f := home.failover
	if f == nil || f.find == nil {
		if home.passes(now) {
			return home
		}
		return nil
	}
	for i := range len(f.to) + 1 {
		to := home
		if at := (x.retry.made + 1 + i) % (len(f.to) + 1); at > 0 {
			to = f.find(f.to[at-1])
		}
		if to != nil && to.passes(now) {
			return to
		}
	}
	return nil
}

// send sends a try that was decided about.
func (x *Exchange) send(reason fallback.Reason, now int64) Step {
	r := &x.replay
	home := r.home
	if reason != fallback.None {
		return x.giveUp(now)
	}
	if x.ticket.Slot >= 0 || !home.withdraw(now) { // the breaker has become half-open meanwhile; another request took the last of the budget
		x.settleAndRelease(breaker.Neither, now)
		return x.giveUp(now)
	}
	x.retry.made++
	r.stage, x.begun = stageOut, now
	call := &Call{Cluster: x.plan.cluster, Timeout: untimed}
	if x.plan == home && home.retries.via != "" {
		call.Cluster = home.retries.via
	}
	if perTry := time.Duration(home.retries.perTry); perTry > 0 {
		call.Timeout = perTry
	} else if r.deadline > 0 {
		call.Timeout = time.Duration(r.deadline - now)
	}
	if r.deadline > 0 {
		call.Timeout = min(call.Timeout, time.Duration(r.deadline-now))
	}
	call.Timeout = max(call.Timeout, time.Millisecond)
	home.observer.Retried(Retry{
		Number: x.retry.made, Of: home.retries.most, Cluster: call.Cluster, Delay: r.wait,
		Cause: x.ending.cause(&home.failures),
	})
	return Step{Kind: Replay, Call: call}
}

// Replayed takes what a try came to, at time now.
func (x *Exchange) Replayed(a *Attempt, now int64) Step {
	r := &x.replay
	if r.stage != stageOut {
		return Step{}
	}
	home := r.home
	x.took = now - x.begun
	x.ending = ending{event: classify(a.Details), status: a.Status, grpc: noGRPC}
	x.ending.late = x.plan.timeout > 0 && x.took > x.plan.timeout
	x.settleAndRelease(x.ending.outcome(&x.plan.failures), now)
	x.plan = home
	r.stage = stageFirst
	if x.again(true, a.RetryAfter, now) {
		r.last = a.hold(home.retries.maxBody)
		return Step{Kind: Wait}
	}
	if r.last = a; a.Unfit {
		r.last = nil
	}
	failed := x.ending.wantsFallback(&home.failures) || x.ending.event != eventAnswer
	if x.ranOut() {
		home.observer.Exhausted()
	}
	if failed || a.Unfit {
		return x.last(now)
	}
	x.keeps = x.request.Cache.Store && a.Status/100 == 2 && home.cached.due(&x.request.Cache, now)
	home.observer.Answered(fallback.FromUpstream, fallback.None)
	return x.pass(a, x.withLimit(x.marked(home.fromUpstream)))
}

// hold keeps a failed try's answer until the next one's is there. Where it is too long, the first answer stands.
func (a *Attempt) hold(most int64) *Attempt {
	size := int64(len(a.Body))
	for _, h := range a.Headers {
		size += int64(len(h[0]) + len(h[1]))
	}
	if a.Unfit || size > most {
		return nil
	}
	held := &Attempt{Details: a.Details, Status: a.Status, Headers: make([]Header, 0, len(a.Headers))}
	for _, h := range a.Headers {
		held.Headers = append(held.Headers, Header{strings.Clone(h[0]), strings.Clone(h[1])})
	}
	held.Body = append([]byte(nil), a.Body...)
	return held
}

// giveUp ends a request for which no further try is made, though one was wanted.
func (x *Exchange) giveUp(now int64) Step {
	x.plan = x.replay.home
	x.replay.stage = stageFirst
	x.retry.none = true
	x.plan.observer.Exhausted()
	return x.last(now)
}

// last answers with what the last try came to, or with a fallback in its place.
func (x *Exchange) last(now int64) Step {
	home, a := x.replay.home, x.replay.last
	if x.ending.wantsFallback(&home.failures) {
		if choice := x.choose(fallback.UpstreamFailure, now); choice.source != fallback.FromError {
			return x.reply(fallback.UpstreamFailure, &choice, 0)
		}
	}
	marks := x.marked(nil)
	if a == nil {
		x.ending = x.replay.first
	}
	source, set := fallback.FromUpstream, home.answers.failedUpstream
	switch {
	case x.ending.event != eventAnswer:
		source, set = fallback.FromError, home.answers.failedLocally
	case !x.ending.wantsFallback(&home.failures): // tried again, but no failure to the policy
		set = home.fromUpstream
	}
	home.observer.Answered(source, fallback.UpstreamFailure)
	return x.pass(a, x.withLimit(append(set[:len(set):len(set)], marks...)))
}

// pass lets an answer through: a try's as a local reply, or the one that Envoy holds back.
func (x *Exchange) pass(a *Attempt, set []Header) Step {
	if a == nil {
		x.passing = true
		return Step{Set: set}
	}
	x.replied = true
	return Step{Kind: SendReply, Reply: Reply{
		Status: a.Status, Headers: replay.With(a.Headers, set), Body: a.Body, GRPC: noGRPC, Details: detailsReplayed, Upstreams: true,
	}}
}

// detailsReplayed stands in the access log for an answer to a try of the filter's own.
const detailsReplayed = "weir_replayed"
