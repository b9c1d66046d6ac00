package replay

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/weir-mesh/weir/policy"
)

// Summarize counts what a policy decided.
func Summarize(file string, l *Log, p *Prepared, d *Decisions) PolicyReport {
	report := PolicyReport{
		File: file, Notes: notes(l, p), Transitions: d.Transitions, Faults: d.Faults, Clusters: []ClusterReport{},
	}
	if report.Transitions == nil {
		report.Transitions = []Transition{}
	}
	for cluster, mine := range l.byCluster() {
		name := l.clusters.all[cluster]
		rules := p.Document.For(name)
		if rules == nil {
			if len(mine) > 0 {
				report.WithoutPolicy = append(report.WithoutPolicy, UncoveredReport{name, len(mine)})
			}
			continue
		}
		report.Clusters = append(report.Clusters, summarize(name, rules, l, d, mine))
	}
	slices.SortFunc(report.Clusters, func(a, b ClusterReport) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), strings.Compare(a.Cluster, b.Cluster))
	})
	slices.SortFunc(report.WithoutPolicy, func(a, b UncoveredReport) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), strings.Compare(a.Cluster, b.Cluster))
	})
	return report
}

// byCluster are the indices of each cluster's requests, in order.
func (l *Log) byCluster() [][]uint32 {
	all := make([][]uint32, len(l.clusters.all))
	for i := range l.requests {
		c := l.requests[i].cluster
		all[c] = append(all[c], uint32(i))
	}
	return all
}

func summarize(name string, rules *policy.Policy, l *Log, d *Decisions, mine []uint32) ClusterReport {
	c := ClusterReport{Cluster: name, Requests: len(mine)}
	var counts [decisions]int
	minute := Minute{}
	for _, i := range mine {
		decision := d.Of[i]
		counts[decision]++
		if at := time.Unix(0, l.requests[i].start).UTC().Truncate(time.Minute); !at.Equal(minute.At) {
			minute = Minute{At: at}
		}
		minute.Requests++
		if decision.refused() {
			minute.Refused++
		}
		if minute.Requests > c.FullestMinute.Requests {
			c.FullestMinute = minute
		} else if minute.At.Equal(c.FullestMinute.At) {
			c.FullestMinute = minute
		}
	}
	c.Admitted, c.RateLimited, c.CircuitOpen, c.BulkheadFull = counts[Admitted], counts[RateLimited], counts[CircuitOpen], counts[BulkheadFull]
	starts, ends := make([]int64, len(mine)), make([]int64, len(mine))
	for n, i := range mine {
		starts[n], ends[n] = l.requests[i].start, l.requests[i].end
	}
	c.MostConcurrent = mostConcurrent(starts, ends)
	switch limit := rules.RateLimit; {
	case limit == nil:
	case len(limit.Key) > 0:
		keys, startsOf := summarizeKeys(limit, l, d, mine)
		c.Keys = &keys
		c.Suggestions = append(c.Suggestions, suggestLimit(limit, startsOf)...)
	default:
		c.Suggestions = append(c.Suggestions, suggestLimit(limit, [][]int64{starts})...)
	}
	if b := rules.Bulkhead; b != nil {
		c.Suggestions = append(c.Suggestions, suggestBulkhead(b, c.MostConcurrent))
	}
	return c
}

// notes say how the replay differs from the policy.
func notes(l *Log, p *Prepared) (all []string) {
	note := func(is bool, text string) {
		if is {
			all = append(all, text)
		}
	}
	c := p.Changes
	note(c.Mesh, "limits of scope mesh: this log is taken for the whole mesh")
	note(c.Shadow, "clusters in mode shadow are decided as if they enforced")
	note(c.Fallback, "fallbacks are left out: they answer a refused request and change no decision")
	note(c.Failover, "failover is left out: each request stays with the log's cluster")
	note(c.Retries, "retries of driver filter are left out: the log does not say how they would have ended")
	note(l.RefusedByWeir > 0, "requests that a Weir had refused are asked again; one that is admitted now counts as neither success nor failure")
	return all
}

// Compare counts what two policies decide differently.
func Compare(l *Log, first, second *Decisions) (all []Difference) {
	for cluster, mine := range l.byCluster() {
		d := Difference{Cluster: l.clusters.all[cluster]}
		for _, i := range mine {
			switch a, b := first.Of[i], second.Of[i]; {
			case a.refused() && b.refused():
				d.Both++
				if a != b {
					d.OtherReason++
				}
			case a.refused():
				d.OnlyFirst++
			case b.refused():
				d.OnlySecond++
			}
		}
		if d.OnlyFirst+d.OnlySecond+d.Both > 0 {
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b Difference) int { return strings.Compare(a.Cluster, b.Cluster) })
	return all
}
