package simulation

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/weir-mesh/weir/policy/ratelimit"
	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/redis/lease"
)

// rule is a limit under test.
type rule struct {
	name     string
	rate     float64 // what it comes to a second
	warm     int64   // until it is as it stays
	measured int64   // how long it is looked at: whole windows, as a full window is admitted in bursts of its own length
	quick    int64   // … in an ordinary test
	limit    *redis.Limit
	best     func(m *mesh) ideal
	burst    float64 // of a bucket; 0: it is a window
}

func window(name string, limit int64, window time.Duration, warm, measured, quick int64) rule {
	return rule{
		name: name, rate: float64(limit) / window.Seconds(), warm: warm, measured: measured, quick: quick,
		limit: redis.NewSlidingWindow(limit, window, 500*time.Millisecond),
		best:  func(*mesh) ideal { return newExactWindow(limit, int64(window)) },
	}
}

func bucket(name string, burst int64, rate float64) rule {
	return rule{
		name: name, rate: rate, warm: 4 * second, measured: 10 * second, quick: second, burst: float64(burst),
		limit: redis.NewTokenBucket(burst, rate, 500*time.Millisecond),
		best:  func(*mesh) ideal { return &exactBucket{burst: float64(burst), rate: rate, level: float64(burst)} },
	}
}

func adaptive(name string, limit int64) rule {
	c := ratelimit.AdaptiveConfig{Threshold: 0.8, Backoff: 0.7, Recovery: 1.2, Interval: 2 * time.Second, MinSamples: 10}
	return rule{
		name: name, rate: float64(limit), warm: 4 * second, measured: 18 * second, quick: 3 * second,
		limit: redis.NewAdaptive(limit, time.Second, 500*time.Millisecond, c),
		best:  func(m *mesh) ideal { return newPure(m, ratelimit.NewAdaptive(limit, time.Second, c)) },
	}
}

// rules are the limits of the table; the ttl of leases is the default, 500 ms, and never more than a tenth of the
// window.
var rules = []rule{
	window("50/s", 50, time.Second, 4*second, 20*second, 5*second),
	window("1,000/s", 1000, time.Second, 3*second, 10*second, second),
	window("20,000/s", 20000, time.Second, 2*second, 4*second, second),
	window("100/min", 100, time.Minute, 120*second, 180*second, 60*second),
	bucket("bucket 100, 50/s", 100, 50),
	bucket("bucket 2,000, 1,000/s", 2000, 1000),
	adaptive("adaptive 500/s", 500),
}

// condition is the traffic and the faults of a run.
type condition struct {
	name    string
	traffic traffic
	loss    float64
	late    float64
	pause   bool
	crash   bool
	back    bool // Redis's clock is set back, by a little and by much
}

var conditions = []condition{
	{name: "steady"},
	{name: "bursty", traffic: bursty},
	{name: "skewed", traffic: skewed},
	{name: "lost 1 %, late 0.5 %", loss: 0.01, late: 0.005},
	{name: "Redis pauses", pause: true},
	{name: "crashes, joins", crash: true},
	{name: "all of it", traffic: bursty, loss: 0.01, late: 0.005, pause: true, crash: true},
}

// scenario is one run.
type scenario struct {
	rule
	condition
	proxies int
	load    float64 // what is offered, times the limit
	seed    uint64
	redis   caller         // nil: a server
	brief   bool           // measured for as long as in an ordinary test
	keyed   bool           // the limit is that of one key
	split   []*redis.Limit // the shards that the limit is split into; nil: it is not split
}

func (s *scenario) String() string {
	return fmt.Sprintf("%s, %s, %d proxies, seed %d", s.rule.name, s.condition.name, s.proxies, s.seed)
}

// results is a run's row of the table.
type results struct {
	tooMany            int
	ofLimit, ofIdeal   float64 // admitted, of the less of limit and offer, and of what the ideal admits
	jain, idealJain    float64
	least, most        float64
	calls              float64 // a second
	perAdmitted        float64 // calls
	waited             float64 // part of the requests offered
	p50, p99           time.Duration
	failed             float64 // part of the requests offered
	admissions, grants int     // all of them
}

// run runs it. A violation makes the test fail, with all that is needed to repeat it.
func (s *scenario) run(t testing.TB) results {
	t.Helper()
	dice := rand.New(rand.NewPCG(s.seed, 6))
	m := &mesh{
		dice: dice, workers: map[uint32]*worker{}, redis: s.redis, limit: s.limit,
		network: network{loss: s.loss, late: s.late, busy: int64(*busy), dice: dice},
		config:  lease.Config{MaxWaiters: maxWaiting},
	}
	for i, limit := range s.split {
		m.shards = append(m.shards, shard{limit, redis.NewShardPlace("weir:", "a", i, len(s.split))})
	}
	if s.split == nil {
		m.shards = []shard{{s.limit, redis.NewPlace("weir:", "a")}}
	}
	if s.keyed {
		m.shards[0].keys = redis.NewKeyedPlace("weir:", "a", "k", 3)
	}
	m.free = make([]int64, len(m.shards))
	if m.redis == nil {
		m.redis = newServer()
	}
	warm, end := s.warm, s.warm+s.measured
	if s.pause {
		end = max(end, warm+int64(len(pauses))*pauseEvery)
	}
	if s.brief {
		end = s.warm + s.quick
	}
	if s.back {
		end = warm + int64(len(setBack))*setBackEvery
	}
	if s.limit.Adaptive() { // the middle third of the time is bad
		third := (end - warm) / 3
		m.healthy = func(now int64) float64 {
			if now >= warm+third && now < warm+2*third {
				return 0.6
			}
			return 0.97
		}
	}
	m.log = newLog(warm, s.proxies, s.best(m))
	rates := s.traffic.rates(s.rate*s.load, s.proxies)
	for i := range s.proxies {
		p := &place{id: i}
		m.places = append(m.places, p)
		m.join(p)
		m.arrivals(p, rates[i], s.traffic)
		if s.crash {
			m.crashes(p)
		}
	}
	if s.pause {
		m.clock.after(warm+second/2, func() { m.pause(0) })
	}
	if s.back {
		for i, by := range setBack {
			m.clock.after(warm+int64(i)*setBackEvery, func() { m.ahead -= by })
		}
	}
	m.clock.run(end)
	if m.broken != nil {
		t.Errorf("%v: %v", s, m.broken)
	}
	r := s.measure(m.log, float64(end-warm)/float64(second))
	s.check(t, m.log, &r)
	return r
}

// check counts the tokens too many.
func (s *scenario) check(t testing.TB, l *log, r *results) {
	t.Helper()
	first := 0
	span := int64(s.limit.Window()) + int64(s.limit.TTL())
	if s.burst > 0 {
		r.tooMany, first = l.tooManyInBucket(s.burst, s.rate)
	} else {
		r.tooMany, first = l.tooManyInWindow(int64(s.limit.Window()), int64(s.limit.TTL()))
	}
	if r.tooMany > 0 {
		t.Errorf("%v: got %d tokens too many, want 0, the first:\n%s", s, r.tooMany, l.trace(first, span))
	}
}

func (s *scenario) measure(l *log, seconds float64) results {
	slices.Sort(l.waits)
	admitted, offers := float64(sum(l.byPlace)), float64(max(l.offers, 1))
	r := results{
		ofLimit: admitted / min(s.rate*seconds, offers), ofIdeal: admitted / float64(max(sum(l.ideals), 1)),
		calls: float64(l.calls) / seconds, perAdmitted: float64(l.calls) / max(admitted, 1),
		waited: float64(len(l.waits)) / offers, p50: percentile(l.waits, 0.5), p99: percentile(l.waits, 0.99),
		failed: float64(l.failures) / offers, admissions: len(l.admissions), grants: len(l.grants),
	}
	r.jain, r.least, r.most = fairness(l.byPlace)
	r.idealJain, _, _ = fairness(l.ideals)
	return r
}
