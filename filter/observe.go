package main

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/weir-mesh/weir/filter/flow"
	"github.com/weir-mesh/weir/filter/host"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/redis"
)

// faults counts what the filter itself got wrong, whatever the cluster.
type faults struct {
	defined   *defined
	total     host.Counter
	conflicts host.Counter
	failed    bool  // a metric could not be defined, and that was said
	said      int64 // when a fault was last logged
	debugging bool  // the host logs at debug, as the last beat found
}

// quiet is how long no further fault is logged after one, in nanoseconds: what fails for one request fails for all.
const quiet = 1e9

func newFaults(d *defined) *faults {
	f := &faults{defined: d}
	f.total = f.counter("weir_faults_total")
	f.conflicts = f.counter("weir_state_conflicts_total")
	return f
}

// counter defines a counter. A metric that can't be defined is said once and then goes without: it is no reason to be
// in a request's way.
func (f *faults) counter(name string) host.Counter {
	c, err := f.defined.counter(name)
	f.complain(err)
	return c
}

func (f *faults) gauge(name string) host.Gauge {
	g, err := f.defined.gauge(name)
	f.complain(err)
	return g
}

func (f *faults) complain(err error) {
	if err != nil && !f.failed {
		f.failed = true
		host.Error("weir: metrics are missing: " + err.Error())
	}
}

// note counts a fault, and logs it unless another one was logged within the last second.
func (f *faults) note(err string) { f.say("the request passes: " + err) }

func (f *faults) say(text string) {
	f.total.Add(1)
	if now := host.Now(); f.said == 0 || now-f.said >= quiet {
		f.said = now
		host.Error("weir: fault, " + text)
	}
}

// redisObserver is the metrics and log lines about Redis.
type redisObserver struct {
	faults  *faults
	ok      host.Counter
	failed  [redis.Refused + 1]host.Counter // by kind of error
	leases  [flow.LeaseLate + 1]host.Counter
	latency host.Histogram
	said    int64
}

func newRedisObserver(f *faults) flow.RedisObserver {
	o := &redisObserver{faults: f}
	result := func(name string) host.Counter { return f.counter("weir_redis_calls_total_result_=" + name + ";") }
	o.ok = result("ok")
	for kind := redis.Malformed; kind <= redis.Refused; kind++ {
		o.failed[kind] = result(strings.ReplaceAll(kind.String(), " ", "_"))
	}
	for lease := range o.leases {
		o.leases[lease] = f.counter("weir_leases_total_result_=" + flow.LeaseResult(lease).String() + ";")
	}
	var err error
	o.latency, err = f.defined.histogram("weir_redis_latency_ms")
	f.complain(err)
	return o
}

// Called implements flow.RedisObserver.
func (o *redisObserver) Called(err error, took time.Duration) {
	if err == nil {
		o.ok.Add(1)
		o.latency.Record(uint64((took + time.Millisecond/2) / time.Millisecond))
		return
	}
	kind := redis.Unavailable // Envoy did not send it
	var failed *redis.Error
	if errors.As(err, &failed) {
		kind = failed.Kind
	}
	o.failed[kind].Add(1)
	if now := host.Now(); o.said == 0 || now-o.said >= quiet && sharedstate.AllowLog(sharedData{}, "redis", quiet, now) {
		o.said = now
		host.Warn("weir: " + err.Error())
	}
}

// Leased implements flow.RedisObserver.
func (o *redisObserver) Leased(l flow.LeaseResult) { o.leases[l].Add(1) }

// Forgotten implements flow.RedisObserver.
func (o *redisObserver) Forgotten(cluster string) {
	host.Info("weir: " + cluster + ": reset, carried on to Redis")
}

// NotForgotten implements flow.RedisObserver.
func (o *redisObserver) NotForgotten(cluster string) {
	host.Warn("weir: " + cluster + ": the reset did not reach Redis, which keeps counting; reset it again once Redis answers")
}

// observer is one cluster's metrics and log lines. A metric's labels stand in its name, and the bootstrap's stats_tags
// take them out again: weir_requests_total_cluster_=aws;_decision_=allowed;
type observer struct {
	cluster     string
	faults      *faults
	counts      func(*tally)
	decisions   [fallback.UpstreamFailure]tally // by reason; upstream_failure is no decision
	shadows     [fallback.UpstreamFailure]tally // the same in shadow
	sources     [fallback.FromDegraded + 1]tally
	transitions [breaker.Open + 1]host.Counter
	state       host.Gauge
	retries     host.Counter
	exhausted   host.Counter
	said        int64                   // when this worker last logged a fallback
	silent      int                     // fallbacks that it has not logged since
	failovers   map[string]host.Counter // by cluster
}

// newObserver finds a cluster's. Counts is told of what happens to every request.
func newObserver(cluster string, rules *policy.Policy, f *faults, counts func(*tally)) flow.Observer {
	o := &observer{cluster: cluster, faults: f, counts: counts}
	label := "_cluster_=" + labelValue(cluster) + ";"
	for reason := range o.decisions {
		o.decisions[reason].counter = f.counter("weir_requests_total" + label + "_decision_=" + fallback.Reason(reason).String() + ";")
	}
	if rules.Mode == policy.ModeShadow {
		for reason := range o.shadows {
			o.shadows[reason].counter = f.counter("weir_requests_total" + label + "_decision_=" + flow.ShadowPrefix + fallback.Reason(reason).String() + ";")
		}
	}
	for source := range o.sources {
		o.sources[source].counter = f.counter("weir_responses_total" + label + "_source_=" + fallback.Source(source).String() + ";")
	}
	for status := range o.transitions {
		o.transitions[status] = f.counter("weir_breaker_transitions_total" + label + "_to_=" + breaker.Status(status).String() + ";")
	}
	o.state = f.gauge("weir_breaker_state" + label)
	if rules.Retry != nil {
		o.retries = f.counter("weir_retries_total" + label)
		o.exhausted = f.counter("weir_retries_exhausted_total" + label)
	}
	if rules.Failover != nil {
		o.failovers = map[string]host.Counter{}
		for _, to := range rules.Failover.To {
			o.failovers[to] = f.counter("weir_failovers_total" + label + "_to_=" + labelValue(to) + ";")
		}
	}
	return o
}

// labelValue keeps what ends a label out of it.
func labelValue(s string) string { return strings.ReplaceAll(s, ";", "_") }

// Decided implements flow.Observer.
func (o *observer) Decided(reason fallback.Reason, shadow bool) {
	if shadow {
		o.counts(&o.shadows[reason])
		return
	}
	o.counts(&o.decisions[reason])
}

// Answered implements flow.Observer.
func (o *observer) Answered(source fallback.Source, reason fallback.Reason) {
	o.counts(&o.sources[source])
	if source != fallback.FromUpstream && source != fallback.FromError {
		o.fellBack(source, reason)
	}
}

// fellBack logs that a fallback answers: once a second at most for each cluster, whatever the number of workers.
func (o *observer) fellBack(source fallback.Source, reason fallback.Reason) {
	o.silent++
	now := host.Now()
	if now-o.said < quiet && o.said != 0 {
		return
	}
	o.said = now
	if !sharedstate.AllowLog(sharedData{}, "fallback/"+o.cluster, quiet, now) {
		return
	}
	host.Warn("weir: " + o.cluster + ": answered from " + source.String() + " (" + reason.String() + "), " +
		strconv.Itoa(o.silent) + " fallback answers of this worker since it last said so")
	o.silent = 0
}

// Explains implements flow.Observer.
func (o *observer) Explains() bool { return o.faults.debugging }

// Explain implements flow.Observer.
func (o *observer) Explain(text string) { host.Debug("weir: " + o.cluster + ": " + text) }

// Transition implements flow.Observer.
func (o *observer) Transition(from, to breaker.Status, cause string) {
	o.transitions[to].Add(1)
	o.state.Set(uint64(to))
	host.Info("weir: " + o.cluster + ": circuit breaker " + from.String() + " -> " + to.String() + " (" + cause + ")")
}

// Retried implements flow.Observer.
func (o *observer) Retried(r flow.Retry) {
	o.retries.Add(1)
	if !o.faults.debugging {
		return
	}
	text := "weir: " + o.cluster + ": retry " + strconv.Itoa(r.Number) + " of " + strconv.Itoa(r.Of)
	if r.ByRouter {
		host.Debug(text + ", by the router, with the delays of the route's retry_back_off")
		return
	}
	host.Debug(text + " after " + r.Delay.String() + " to " + r.Cluster + " (" + r.Cause + ")")
}

// Exhausted implements flow.Observer.
func (o *observer) Exhausted() { o.exhausted.Add(1) }

// FailedOver implements flow.Observer.
func (o *observer) FailedOver(to string) {
	counter := o.failovers[to]
	counter.Add(1)
	if o.faults.debugging {
		host.Debug("weir: " + o.cluster + ": circuit open, the request goes to " + to)
	}
}

// Conflicts implements flow.Observer.
func (o *observer) Conflicts(n int) { o.faults.conflicts.Add(uint64(n)) }

// Fault implements flow.Observer.
func (o *observer) Fault(err error) { o.faults.note(o.cluster + ": " + err.Error()) }
