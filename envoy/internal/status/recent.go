package status

import (
	"math"
	"time"

	"github.com/weir-mesh/weir/filter/adminapi"
)

// Recent is what clusters did in the last minute, or for as long as statuses of them were added.
type Recent struct{ clusters map[key]*lately }

// key is a cluster of one Envoy.
type key struct{ at, cluster string }

type lately struct {
	samples []sample // the oldest first; the first is a minute old, or the first that was seen
	impact  int      // see Recent.impact
}

// sample is what a cluster had counted at a time of its Envoy's clock.
type sample struct {
	at   time.Time
	mode string // of which the counts are: each has counters of its own
	tally
}

type tally struct{ requests, notAdmitted, failed float64 }

// recently is how far back Recent looks.
const recently = time.Minute

// Add takes a status of an Envoy.
func (r *Recent) Add(at string, s *adminapi.Status) {
	for name, c := range s.Clusters {
		r.AddCluster(at, name, &c, s.Time.Time())
	}
}

// AddCluster takes the status of one cluster.
func (r *Recent) AddCluster(at, name string, c *adminapi.Cluster, now time.Time) {
	if r.clusters == nil {
		r.clusters = map[key]*lately{}
	}
	k := key{at, name}
	if r.clusters[k] == nil {
		r.clusters[k] = &lately{}
	}
	r.clusters[k].add(sample{now, c.Mode, tallyOf(c)})
}

func tallyOf(c *adminapi.Cluster) (t tally) {
	if q := c.Requests; q != nil {
		t.notAdmitted = notAdmitted(q)
		t.requests = q.Allowed + t.notAdmitted
	}
	if c.Upstream != nil {
		t.failed = c.Upstream.FailedTotal
	}
	return t
}

func (r *lately) add(s sample) {
	if n := len(r.samples); n > 0 {
		last := r.samples[n-1]
		if !s.at.After(last.at) {
			return // the same status again, or an older one of another worker
		}
		if s.mode != last.mode || s.requests < last.requests || s.notAdmitted < last.notAdmitted || s.failed < last.failed {
			r.samples = r.samples[:0] // it has another mode, an operator reset it, or Envoy began anew
		}
	}
	r.samples = append(r.samples, s)
	for len(r.samples) > 2 && s.at.Sub(r.samples[1].at) >= recently {
		r.samples = r.samples[1:]
	}
}

// Rates are requests a second.
type Rates struct {
	Over                          time.Duration // 0: nothing is known
	Requests, NotAdmitted, Failed float64
}

func (r *Recent) rates(at, cluster string) (rates Rates) {
	if r == nil || r.clusters[key{at, cluster}] == nil {
		return rates
	}
	all := r.clusters[key{at, cluster}].samples
	if len(all) < 2 {
		return rates
	}
	first, last := all[0], all[len(all)-1]
	rates.Over = last.at.Sub(first.at)
	s := rates.Over.Seconds()
	rates.Requests, rates.NotAdmitted, rates.Failed = (last.requests-first.requests)/s, (last.notAdmitted-first.notAdmitted)/s, (last.failed-first.failed)/s
	return rates
}

// impact is the order of magnitude of what clients suffer: of the requests in a minute that were not admitted or failed, 0 for none, 1 below 10,
// 2 below 100. So that rows do not change places at each refresh, it goes up at once, and down when it is below half of
// what it began with.
func (r *Recent) impact(at, cluster string, rates Rates, shadow bool) int {
	if rates.Over == 0 {
		return 0
	}
	suffered := rates.Failed
	if !shadow {
		suffered += rates.NotAdmitted
	}
	suffered *= recently.Seconds()
	known := r.clusters[key{at, cluster}]
	now := 0
	if suffered > 0 {
		now = max(1+int(math.Floor(math.Log10(suffered))), 1)
	}
	if now >= known.impact || suffered < math.Pow(10, float64(known.impact-1))/2 {
		known.impact = now
	}
	return known.impact
}

// failingFrom is the share of the admitted requests that makes a cluster Failing.
const failingFrom = 0.1

// Judge is the verdict on a cluster with what it did lately.
func (r *Recent) Judge(at, cluster string, c *adminapi.Cluster, now time.Time) Verdict {
	v, rates := Judge(c, now), r.rates(at, cluster)
	admitted := rates.Requests - rates.NotAdmitted
	if c.Mode == "shadow" || v.State < Failing || rates.Failed == 0 || rates.Failed < failingFrom*admitted {
		return v
	}
	return Verdict{Failing, joined(percent(math.Round(1000*rates.Failed/max(admitted, rates.Failed))/1000)+" of the admitted requests failed in the last "+seconds(math.Round(rates.Over.Seconds())), v.Why)}
}
