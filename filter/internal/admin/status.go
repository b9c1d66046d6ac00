package admin

import (
	"math"
	"time"

	"github.com/weir-mesh/weir/filter/adminapi"
	"github.com/weir-mesh/weir/filter/internal/key"
	"github.com/weir-mesh/weir/filter/internal/replay"
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

// misrouted is the last request that went to another cluster than the one whose policy decided, nil where there was none.
func (h *Handler) misrouted(at Instant) (*adminapi.Misrouted, error) {
	m, err := registry.ReadMisroute(h.store, at.Monotonic)
	if err != nil || m.At == 0 {
		return nil, err
	}
	total, err := h.misroutedTotal.value(h.metrics, metric.MisroutedTotal.With(m.Decided, m.Went))
	if err != nil {
		return nil, err
	}
	return &adminapi.Misrouted{Cluster: m.Decided, To: m.Went, At: *at.wallTime(m.At), Total: float64(total)}, nil
}

// missing is the last request whose metadata has the name of no policy, nil where there was none.
func (h *Handler) missing(at Instant) (*adminapi.Missing, error) {
	m, err := registry.ReadMissing(h.store, at.Monotonic)
	if err != nil || m.At == 0 {
		return nil, err
	}
	total, err := h.missingTotal.value(h.metrics, metric.PolicyMissingTotal.With(m.Cluster))
	if err != nil {
		return nil, err
	}
	return &adminapi.Missing{Cluster: m.Cluster, Policy: m.Policy, At: *at.wallTime(m.At), Total: float64(total)}, nil
}

// policies are the policy documents in force.
func (h *Handler) policies(at Instant) ([]adminapi.Policy, error) {
	inForce, err := registry.ReadPolicies(h.store, at.Monotonic)
	if err != nil {
		return nil, err
	}
	all := make([]adminapi.Policy, 0, len(inForce))
	for _, p := range inForce {
		all = append(all, adminapi.Policy{Version: policy.Version(p.Document), Since: *at.wallTime(max(p.Since, 1)), Unmatched: p.Unmatched})
	}
	return all, nil
}

// refused is the policy that was refused last, nil where another one started since.
func (h *Handler) refused(at Instant) (*adminapi.Refused, error) {
	r, err := registry.ReadRefused(h.store)
	if err != nil || r.At == 0 {
		return nil, err
	}
	refused := &adminapi.Refused{At: *at.wallTime(r.At), Reasons: r.Reasons}
	if r.Hash != 0 {
		refused.Version = policy.Version(r.Hash)
	}
	return refused, nil
}

// transitions are those of one cluster's circuit breaker, or of all for "", the newest first.
func (h *Handler) transitions(cluster string, at Instant) ([]adminapi.Transition, error) {
	changes, err := registry.ReadChanges(h.store)
	if err != nil {
		return nil, err
	}
	all := make([]adminapi.Transition, 0, len(changes))
	for i := len(changes) - 1; i >= 0; i-- {
		if c := &changes[i]; cluster == "" || c.Cluster == cluster {
			all = append(all, adminapi.Transition{
				At: *at.wallTime(max(c.At, 1)), Cluster: c.Cluster, From: c.From.String(), To: c.To.String(), Cause: c.Cause,
			})
		}
	}
	return all, nil
}

// proxy is the Envoy that answers.
func (h *Handler) proxy(at Instant) (*adminapi.Envoy, error) {
	started, err := sharedstate.StartedAt(h.store)
	if err != nil {
		return nil, err
	}
	e := h.envoy
	e.Since = at.wallTime(started)
	return &e, nil
}

// one responds to GET /status/CLUSTER.
func (h *Handler) one(name string, at Instant) (Response, *httpError) {
	kept, failed := h.find(name, at)
	if failed != nil {
		return Response{}, failed
	}
	c, err := h.status(kept, &fill{store: h.store}, at)
	if err == nil && c.Breaker != nil {
		c.Transitions, err = h.transitions(kept.entry.BreakerOf(), at)
	}
	if err != nil {
		return Response{}, h.internalError(err)
	}
	c.Name = name
	return jsonResponse(200, c.Write), nil
}

// status is one cluster's, from its record and its metrics.
func (h *Handler) status(kept *cluster, fill *fill, at Instant) (c adminapi.Cluster, err error) {
	name, view, p := kept.entry.Cluster, kept.view, kept.view.Policy
	var record sharedstate.Record
	if _, err := sharedstate.NewCell(h.store, sharedstate.ClusterKey(name), &record).Load(); err != nil {
		return c, err
	}
	if of := kept.entry.BreakerOf(); of != name {
		var upstream sharedstate.Record
		if _, err := sharedstate.NewCell(h.store, sharedstate.ClusterKey(of), &upstream).Load(); err != nil {
			return c, err
		}
		record.Breaker, record.Budget = upstream.Breaker, upstream.Budget
	}
	atReset, err := registry.ReadCountsAtReset(h.store, name)
	if err != nil {
		return c, err
	}
	n, seen, err := kept.counters.since(&atReset)
	if err != nil {
		return c, err
	}
	noHost, err := kept.counters.noHost.Value()
	if err != nil {
		return c, err
	}
	c = adminapi.Cluster{
		Mode:     modeName(p.Mode),
		Policy:   kept.entry.Named,
		Unseen:   !seen && p.Mode != policy.ModeOff, // of which nothing is counted
		Requests: n.requests(),
		Answers:  n.answers(),
		Upstream: &adminapi.Upstream{NoHealthyHost: noHost != 0, FailedTotal: float64(n[countFailures])},
	}
	if upstream := n.ofUpstream(); upstream > 0 { // what failed is counted before the answer to it
		c.Upstream.SuccessRate = new(max(1-c.Upstream.FailedTotal/upstream, 0))
	}
	if p.CircuitBreaker != nil {
		c.Breaker = breakerStatus(view, &record, at)
	}
	if p.RateLimit != nil {
		if c.RateLimit, err = h.limitStatus(kept, &record, at); err != nil {
			return c, err
		}
		c.RateLimit.LimitedTotal = c.Requests.RateLimited
	}
	if p.Fallback != nil {
		c.Fallback = &c.Answers.Fallback
		if p.Fallback.EnableCache {
			kept, err := fill.of(kept.entry.Upstream())
			if err != nil {
				return c, err
			}
			c.Cache = &adminapi.Cache{
				Entries: float64(kept.Entries), MaxEntries: float64(p.Fallback.MaxEntries), Bytes: float64(kept.Bytes),
				Hits:    c.Answers.Cache + c.Answers.StaleCache,
				NotKept: n.obstacles(countNotKept), NotUsed: n.obstacles(countNotUsed),
			}
			for _, missed := range c.Cache.NotUsed {
				c.Cache.Misses += missed
			}
		}
	}
	if p.Retry != nil {
		c.Retry = &adminapi.Retry{
			AttemptsTotal: float64(n[countRetries]), ExhaustedTotal: float64(n[countExhausted]),
			BudgetRemaining: new(float64(view.RetryBudget(&record, at.Monotonic))), Uncarried: n.uncarried(),
		}
	}
	if b := p.Bulkhead; b != nil {
		c.Bulkhead = &adminapi.Bulkhead{
			InFlight: float64(view.InFlight(&record, h.shown(name), at.Monotonic)), RejectedTotal: c.Requests.BulkheadFull,
			MaxConcurrent: float64(b.MaxConcurrent),
		}
	}
	if f := p.Failover; f != nil {
		c.Failover = &adminapi.Failover{To: f.To, ToTotal: float64(n[countFailovers])}
	}
	return c, nil
}

func (n counts) requests() *adminapi.Requests {
	decision := func(r fallback.Reason) float64 { return float64(n[countDecision+int(r)]) }
	return &adminapi.Requests{
		Allowed:      decision(fallback.None),
		RateLimited:  decision(fallback.RateLimited),
		CircuitOpen:  decision(fallback.CircuitOpen),
		BulkheadFull: decision(fallback.BulkheadFull),
	}
}

// ofUpstream is how many requests upstream has answered or failed. What is admitted is counted by mode, failures and answers are not: they
// are of both where the policy was in shadow before. Each request that was refused got an answer, too.
func (n counts) ofUpstream() float64 {
	a := n.answers()
	return a.Upstream + a.Cache + a.StaleCache + a.Default + a.Degraded + a.Error - float64(n[countRefused])
}

func (n counts) answers() *adminapi.Answers {
	source := func(s fallback.Source) float64 { return float64(n[countSource+int(s)]) }
	return &adminapi.Answers{Upstream: source(fallback.FromUpstream), Fallback: adminapi.Fallback{
		Cache:      source(fallback.FromCache),
		StaleCache: source(fallback.FromStaleCache),
		Default:    source(fallback.FromDefault),
		Degraded:   source(fallback.FromDegraded),
		Error:      source(fallback.FromError),
	}}
}

// obstacles are the counts by name of the obstacles that were counted, from this place on.
func (n counts) obstacles(place int) map[string]float64 {
	named := map[string]float64{}
	for o := range fallback.Obstacles {
		if count := n[place+int(o)]; count > 0 {
			named[o.String()] = float64(count)
		}
	}
	return named
}

// uncarried are the counts of the reasons that were counted, nil where there is none.
func (n counts) uncarried() (by map[string]adminapi.Uncarried) {
	for why := replay.Connect; why < replay.Reasons; why++ {
		if count := n[countUncarried+int(why)]; count > 0 {
			if by == nil {
				by = map[string]adminapi.Uncarried{}
			}
			by[why.Label()] = adminapi.Uncarried{Count: float64(count), Advice: why.Advice()}
		}
	}
	return by
}

func breakerStatus(v *registry.View, record *sharedstate.Record, at Instant) *adminapi.Breaker {
	p, s := v.Policy.CircuitBreaker, &record.Breaker
	b := &adminapi.Breaker{
		State: s.Status.String(), Forced: forcedName(s.Forced), Since: at.wallTime(s.Since), Cause: causeName(s.Cause),
		FailureCount: float64(s.Failures), SuccessCount: float64(s.Successes), OpensTotal: float64(s.Opens),
		RetryAfter:       seconds(v.RetryAfter(record, at.Monotonic)),
		FailureThreshold: float64(p.FailureThreshold), SuccessThreshold: float64(p.SuccessThreshold),
		RecoveryTimeout: seconds(p.RecoveryTimeout),
	}
	if s.Status == breaker.Open {
		b.OpenedAt = b.Since
	}
	if rate := p.FailureRate; rate != nil {
		b.FailureRateThreshold = &rate.Threshold
	}
	if slow := p.SlowCalls; slow != nil {
		b.SlowCallsThreshold = &slow.Threshold
	}
	return b
}

func (h *Handler) limitStatus(kept *cluster, record *sharedstate.Record, at Instant) (*adminapi.RateLimit, error) {
	cluster, v := kept.entry.Cluster, kept.view
	p := v.Policy.RateLimit
	var redis registry.RedisView
	if p.Scope == policy.ScopeMesh {
		var err error
		if redis, err = registry.ReadRedisView(h.store, cluster, p); err != nil {
			return nil, err
		}
	}
	l := v.Limit(record, &redis, at.Monotonic)
	limit := &adminapi.RateLimit{
		Algorithm: algorithmName(p.Algorithm), Scope: scopeName(p.Scope), Keyed: len(p.Key) > 0,
		PerMinute: l.PerMinute, ConfiguredPerMinute: l.ConfiguredPerMinute, Window: seconds(l.Window),
	}
	if p.Scope == policy.ScopeMesh {
		var err error
		if limit.WithoutRedis, err = h.withoutRedis(&kept.entry, l, at); err != nil {
			return nil, err
		}
	}
	if l.RemainingKnown {
		limit.Remaining = new(float64(l.Remaining))
	}
	if l.SuccessRatioKnown {
		limit.SuccessRate = &l.SuccessRatio
	}
	if limit.Keyed && p.Show != policy.ShowOff {
		keys, err := registry.ReadRefusedKeys(h.store, cluster)
		if err != nil {
			return nil, err
		}
		limit.RefusedKeys = refusedKeys(&keys, p.Show, at)
	}
	return limit, nil
}

// withoutRedis is what a limit of scope mesh does while calls to Redis fail, nil while they succeed. A failure that concerns another
// limit alone says nothing about this one.
func (h *Handler) withoutRedis(e *registry.Entry, l registry.Limit, at Instant) (*adminapi.WithoutRedis, error) {
	calls, err := registry.ReadRedisCalls(h.store)
	if err != nil || !calls.Failing() || calls.Failure.Cluster != "" && calls.Failure.Cluster != e.Cluster {
		return nil, err
	}
	live, err := sharedstate.LiveProxies(h.store, e.Cluster, e.Proxies)
	if err != nil {
		return nil, err
	}
	w := &adminapi.WithoutRedis{Since: *at.wallTime(calls.FailingSince), OnError: onErrorName(e.OnError), Proxies: float64(live)}
	if e.OnError == policy.OnErrorLocal {
		share := l.ConfiguredPerMinute / w.Proxies
		if e.Policy.RateLimit.Algorithm == policy.Adaptive {
			share = l.PerMinute / w.Proxies
		}
		if window := l.Window.Minutes(); e.Policy.RateLimit.Algorithm != policy.TokenBucket { // at least one in a window, see lease.Share
			share = max(math.Floor(share*window+1e-6), 1) / window
		}
		w.PerMinute = new(share)
	}
	return w, nil
}

// refusedKeys are the keys that a limit refused most, nil where there are none.
func refusedKeys(k *registry.RefusedKeys, show policy.ShowKeys, at Instant) *adminapi.RefusedKeys {
	if k.Since == 0 {
		return nil
	}
	refused := &adminapi.RefusedKeys{Since: *at.wallTime(k.Since), Last: *at.wallTime(k.Last), Total: float64(k.Total)}
	for _, e := range k.Keys.Keys() {
		if e.Over == e.Count { // nothing is known of it
			continue
		}
		text := e.Text
		if show != policy.ShowPlain && !key.SaysNothing(text) { // an earlier policy had show_keys: plain
			text = ""
		}
		refused.Keys = append(refused.Keys, adminapi.RefusedKey{
			Key: string(key.AppendHash(nil, e.Key)), Text: text, AtLeast: float64(e.Count - e.Over), AtMost: float64(e.Count),
		})
	}
	return refused
}

// redisStatus is how calls to Redis end. Used says whether a policy has a Redis.
func (h *Handler) redisStatus(used bool, at Instant) (*adminapi.Redis, error) {
	r := &adminapi.Redis{State: "ok"}
	for i, c := range h.redisCalls {
		n, err := c.Value()
		if err != nil {
			return nil, err
		}
		r.CallsTotal += float64(n)
		if i > 0 {
			r.ErrorsTotal += float64(n)
		}
	}
	calls, err := registry.ReadRedisCalls(h.store)
	switch {
	case err != nil:
		return nil, err
	case !used:
		r.State = "off"
	case calls.Failing():
		r.State = "trouble"
	}
	if f := &calls.Failure; calls.LastFailed != 0 {
		e := redis.Error{Kind: redis.Kind(f.Kind), Detail: f.Detail}
		r.LastError = &adminapi.RedisError{Name: e.Name(), Message: f.Detail, Advice: e.Advice(f.Cluster), Cluster: f.Cluster, At: at.wallTime(calls.LastFailed)}
	}
	return r, nil
}

func modeName(m policy.Mode) string { return [...]string{"enforce", "shadow", "off"}[m] }

func algorithmName(a policy.Algorithm) string {
	return [...]string{"sliding_window", "token_bucket", "adaptive"}[a]
}

func scopeName(s policy.Scope) string { return [...]string{"proxy", "mesh"}[s] }

func onErrorName(o policy.OnError) string { return [...]string{"local", "allow", "deny"}[o] }

func forcedName(f breaker.Forced) string { return [...]string{"auto", "open", "closed"}[f] }

// causeName is nil where the breaker never changed, or an older Weir changed it last.
func causeName(c breaker.Cause) *string {
	if c == breaker.NoTransition {
		return nil
	}
	return new(c.String())
}

// wallTime converts a reading of the monotonic clock, nil for 0: never.
func (at Instant) wallTime(monotonic int64) *adminapi.Time {
	if monotonic == 0 {
		return nil
	}
	return new(adminapi.Time((at.Wall - (at.Monotonic - monotonic)) / int64(time.Millisecond)))
}

// seconds rounds to the millisecond.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond)) / float64(time.Second)
}
