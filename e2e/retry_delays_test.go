package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/check"
	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// A delay is measured at the upstream: from the moment at which it has given the failing answer to the arrival of the
// next attempt. That is what Weir waits and two times the way between them.
type measured struct {
	id       string
	retry    int // from 0
	from, to time.Time
}

func (m measured) delay() time.Duration { return m.to.Sub(m.from) }

func measuredAt(u *upstream.Upstream) (all []measured) {
	for id, attempts := range byNumber(u) {
		for i := range attempts[1:] {
			all = append(all, measured{id, i, attempts[i].Done, attempts[i+1].Arrived})
		}
	}
	return all
}

// schedule is a policy of delays without jitter, and the delays that it must give.
type schedule struct {
	name, rules string
	want        []time.Duration
}

const ms = time.Millisecond

var schedules = []schedule{
	{"doubling", "max_attempts: 4, base_delay: 100ms", []time.Duration{100 * ms, 200 * ms, 400 * ms}},
	{"tripling-to-max", "max_attempts: 5, base_delay: 40ms, max_delay: 300ms, exponential_base: 3", []time.Duration{40 * ms, 120 * ms, 300 * ms, 300 * ms}},
	{"by-half", "max_attempts: 5, base_delay: 64ms, exponential_base: 1.5", []time.Duration{64 * ms, 96 * ms, 144 * ms, 216 * ms}},
	{"even", "max_attempts: 4, base_delay: 153ms, exponential_base: 1", []time.Duration{153 * ms, 153 * ms, 153 * ms}},
	{"short", "max_attempts: 4, base_delay: 3ms, exponential_base: 1", []time.Duration{3 * ms, 3 * ms, 3 * ms}},
}

// How many requests the delays are measured with, and how many of them begin a second.
const perSchedule, perSecond, jittered = 30, 100, 400

// enoughSamples is how many delays the test of a distribution needs.
const enoughSamples = 200

// TestRetryDelays measures the delays of both drivers at the upstream: without jitter each is the policy's to 15 ms,
// with jitter they are uniform over their range; and Retry-After is obeyed up to max_delay. It is not run beside other
// tests, whose Envoys would want the CPUs.
func TestRetryDelays(t *testing.T) {
	policy, upstreams, retryAfters := "clusters:\n", map[string]*upstream.Upstream{}, retryAfterCases()
	add := func(cluster, driver, rules string, answers ...upstream.Behaviour) {
		policy += fmt.Sprintf("  %s: {%s}\n", cluster, retryRules(driver, rules))
		upstreams[cluster] = upstream.New(t)
		upstreams[cluster].ScriptAttempts(numberHeader, upstream.Any, answers...)
	}
	for _, s := range schedules {
		add(s.name, "filter", s.rules+", jitter: false", upstream.Status(503).Body("sorry"))
	}
	for _, driver := range drivers {
		add(driver+"-jitter", driver, "max_attempts: 3, base_delay: 200ms", upstream.Status(503))
	}
	for _, c := range retryAfters {
		add(c.name, "filter", c.rules+", jitter: false", upstream.Func(c.answer), upstream.OK())
	}
	w := start(t, policy, upstreams)
	stolen := check.WatchStolen(t, w.PID())
	t.Run("exact", func(t *testing.T) {
		var delays []timed
		many(t, perSchedule*len(schedules), perSecond, func(i int) error {
			return w.in(t).expect(schedules[i%len(schedules)].name, 503, "RetryExhausted")
		})
		for _, s := range schedules {
			delays = append(delays, s.check(t, upstreams[s.name])...)
		}
		withinFifteen(t, delays, stolen)
	})
	for _, driver := range drivers {
		t.Run("jitter/"+driver, func(t *testing.T) {
			var samples [2][]time.Duration
			for round := 0; min(len(samples[0]), len(samples[1])) < enoughSamples; round++ {
				if round == 5 {
					t.Fatalf("of %d requests, got only %d and %d delays in which the machine ran", round*jittered, len(samples[0]), len(samples[1]))
				}
				many(t, jittered, 200, func(int) error { return w.in(t).expect(driver+"-jitter", 503, "RetryExhausted") })
				u := upstreams[driver+"-jitter"]
				if got, want := u.Count(), 3*jittered*(round+1); got != want {
					t.Fatalf("%d attempts, want %d", got, want)
				}
				samples = undisturbed(measuredAt(u), stolen)
			}
			uniform(t, "retry 1", samples[0], 200*ms)
			uniform(t, "retry 2", samples[1], 400*ms)
			for _, m := range measuredAt(upstreams[driver+"-jitter"]) {
				if most, lost := 200*ms<<m.retry, stolenAround(stolen, m, 40*ms); m.delay()-lost > most+15*ms {
					t.Errorf("retry %d of request %s came after %v, want at most %v; the machine stole %v", m.retry+1, m.id, m.delay(), most, lost)
				}
			}
		})
	}
	t.Run("Retry-After", func(t *testing.T) {
		var delays []timed
		many(t, 4*len(retryAfters), 100, func(i int) error { return w.in(t).expect(retryAfters[i%len(retryAfters)].name, 200, "") })
		for _, c := range retryAfters {
			for _, m := range measuredAt(upstreams[c.name]) {
				delays = append(delays, timed{m, c.want(m.from)})
			}
		}
		if len(delays) != 4*len(retryAfters) {
			t.Errorf("%d retries, want %d", len(delays), 4*len(retryAfters))
		}
		for _, d := range delays {
			if d.delay() < d.want {
				t.Errorf("asked to wait for %v, it waited for %v", d.want, d.delay())
			}
		}
		withinFifteen(t, delays, stolen)
	})
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// timed is a delay, measured and wanted.
type timed struct {
	measured
	want time.Duration
}

func (s schedule) check(t *testing.T, u *upstream.Upstream) (delays []timed) {
	t.Helper()
	for _, m := range measuredAt(u) {
		if m.retry >= len(s.want) {
			t.Errorf("%s: request %s was tried %d times, want %d", s.name, m.id, m.retry+2, len(s.want)+1)
			continue
		}
		delays = append(delays, timed{m, s.want[m.retry]})
	}
	if want := perSchedule * len(s.want); len(delays) != want {
		t.Errorf("%s: %d retries, want %d", s.name, len(delays), want)
	}
	return delays
}

// withinFifteen holds delays to 15 ms, and says what they were. What the machine stole at either end of a delay is
// not Weir's: while the failing answer was on its way, or from when the next attempt was due until it came. One in a hundred
// may be late by up to 100 ms, since the upstream notes its times in this process, whose own pauses nobody accounts for; none
// may be early by more than 15 ms.
func withinFifteen(t *testing.T, delays []timed, stolen *check.Stolen) {
	t.Helper()
	const bound, outlier = 15 * ms, 100 * ms
	var off, own []time.Duration
	excused, late := 0, []string{}
	for _, d := range delays {
		over := d.delay() - d.want
		lost := stolen.Between(d.from, d.from.Add(bound)) + stolen.Between(d.from.Add(max(d.want, bound)), d.to)
		mine := over
		if over > bound {
			mine = max(over-lost, 0)
			excused++
		}
		if mine > bound || over < -bound {
			late = append(late, fmt.Sprintf("retry %d of request %s came after %v instead of %v; the machine stole %v", d.retry+1, d.id, d.delay(), d.want, lost))
		}
		if mine > outlier || over < -bound {
			t.Error(late[len(late)-1])
		}
		off, own = append(off, over), append(own, mine)
	}
	if most := max(1, len(delays)/100); len(late) > most {
		t.Errorf("got %d of %d delays off by more than %v, want at most %d:\n%s", len(late), len(delays), bound, most, strings.Join(late, "\n"))
	} else if len(late) > 0 {
		t.Logf("off by more than %v:\n%s", bound, strings.Join(late, "\n"))
	}
	if len(off) == 0 {
		t.Fatal("got no delay to measure")
	}
	slices.Sort(off)
	slices.Sort(own)
	median := off[len(off)/2]
	t.Logf("%d delays: too long by %v at least, median %v, 99 %% %v, at most %v; without what the machine stole at most %v (it excuses %d)",
		len(off), off[0].Round(ms/10), median.Round(ms/10), off[len(off)*99/100].Round(ms/10), off[len(off)-1].Round(ms/10), own[len(own)-1].Round(ms/10), excused)
	if median > bound || median < -bound {
		t.Errorf("got a median error of %v, want it within the bound", median)
	}
	if excused > len(off)/2 {
		t.Errorf("%d of %d delays are too long: this machine is too busy to measure anything", excused, len(off))
	}
}

// undisturbed are the delays before the first retry and before the second. Those in which the machine stood still are
// left out: whether it does has nothing to do with how long they were to be.
func undisturbed(all []measured, stolen *check.Stolen) (samples [2][]time.Duration) {
	for _, m := range all {
		if m.retry < len(samples) && stolenAround(stolen, m, 20*ms) < 40*ms {
			samples[m.retry] = append(samples[m.retry], m.delay())
		}
	}
	return samples
}

// stolenAround is what the machine stole at the ends of a delay: while the failing answer was on its way, and before
// the next attempt came.
func stolenAround(stolen *check.Stolen, m measured, reach time.Duration) time.Duration {
	return stolen.Between(m.from, m.from.Add(reach)) + stolen.Between(m.to.Add(-reach), m.to)
}

// uniform holds delays to the uniform distribution from 0 to most.
func uniform(t *testing.T, what string, samples []time.Duration, most time.Duration) {
	t.Helper()
	const enough = 2.5 // four in a million, were they uniform
	slices.Sort(samples)
	distance := check.FromUniform(samples, 0, most)
	t.Logf("%s: %d delays from %v to %v, median %v: %.2f from uniform over %v (%.1f is the bound)", what, len(samples),
		samples[0].Round(ms/10), samples[len(samples)-1].Round(ms/10), samples[len(samples)/2].Round(ms/10), distance, most, enough)
	if distance > enough {
		t.Errorf("%s: not uniform from 0 to %v, by the test of Kolmogorov and Smirnov: %.2f. Envoy draws from the system's randomness, no seed repeats it. All samples: %v",
			what, most, distance, samples)
	}
}

// retryAfter is an upstream's Retry-After, and how long the retry must wait for it.
type retryAfter struct {
	name, rules string
	value       func() string
	want        func(answered time.Time) time.Duration
}

func (c retryAfter) answer(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("retry-after", c.value())
	w.WriteHeader(http.StatusServiceUnavailable)
}

func retryAfterCases() []retryAfter {
	is := func(s string) func() string { return func() string { return s } }
	after := func(d time.Duration) func(time.Time) time.Duration {
		return func(time.Time) time.Duration { return d }
	}
	return []retryAfter{
		{"seconds", "base_delay: 50ms", is("1"), after(time.Second)},
		{"less-than-the-delay", "base_delay: 1200ms", is("1"), after(1200 * ms)},
		{"more-than-max-delay", "base_delay: 50ms, max_delay: 300ms", is("3600"), after(300 * ms)},
		{"none-to-be-read", "base_delay: 60ms", is("soon"), after(60 * ms)},
		{"over", "base_delay: 70ms", is("Sun, 06 Nov 1994 08:49:37 GMT"), after(70 * ms)},
		{"a-date-beyond-max-delay", "base_delay: 50ms, max_delay: 300ms", func() string {
			return strings.Replace(time.Now().Add(time.Minute).UTC().Format(time.RFC1123), "UTC", "GMT", 1)
		}, after(300 * ms)},
	}
}
