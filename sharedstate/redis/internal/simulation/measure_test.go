package simulation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis"
)

// log is all that happened.
type log struct {
	from  int64 // what was before only warmed up
	ideal ideal

	offers          int
	byPlace, ideals []int64 // admitted at each place, and at best
	waits           []int64 // of each request that waited and has its answer
	failures        int
	calls           int

	admissions []admission // all, warm-up included
	grants     []grant
}

type admission struct {
	at     int64
	worker *worker
}

// grant is one answer of Redis.
type grant struct {
	at, want, granted, left, limit int64
	worker                         *worker
}

func newLog(from int64, proxies int, best ideal) *log {
	return &log{from: from, ideal: best, byPlace: make([]int64, proxies), ideals: make([]int64, proxies)}
}

func (l *log) offered(place int, now int64) {
	best := l.ideal.take(now)
	if now < l.from {
		return
	}
	l.offers++
	if best {
		l.ideals[place]++
	}
}

func (l *log) admitted(w *worker, now, wait int64) {
	l.admissions = append(l.admissions, admission{now, w})
	if now < l.from {
		return
	}
	l.byPlace[w.place.id]++
	if wait > 0 {
		l.waited(now, wait)
	}
}

func (l *log) waited(now, wait int64) {
	if now >= l.from {
		l.waits = append(l.waits, wait)
	}
}

func (l *log) failed(n int, now int64) {
	if now >= l.from {
		l.failures += n
	}
}

func (l *log) called(w *worker, a *redis.LeaseRequest, r redis.Result, now int64) {
	if now >= l.from {
		l.calls++
	}
	if len(r.Ints) == 9 {
		l.grants = append(l.grants, grant{at: now, want: a.Want, granted: r.Ints[2], left: r.Ints[4], limit: r.Ints[5] * int64(len(w.mesh.shards)), worker: w})
	}
}

// tooManyInWindow counts the admissions that are one too many in the window that ends with them. Of an adaptive limit
// that is the highest that Redis granted by in the window and a lease's ttl before: the first token that a window has
// was granted then, and the last grant saw all others.
func (l *log) tooManyInWindow(window, ttl int64) (n int, first int) {
	first = -1
	var highest []grant // the maximum of a moving interval: falling limits
	next, start := 0, 0
	for i, a := range l.admissions {
		for ; next < len(l.grants) && l.grants[next].at <= a.at; next++ {
			for len(highest) > 0 && highest[len(highest)-1].limit <= l.grants[next].limit {
				highest = highest[:len(highest)-1]
			}
			highest = append(highest, l.grants[next])
		}
		for len(highest) > 0 && highest[0].at <= a.at-window-ttl {
			highest = highest[1:]
		}
		for l.admissions[start].at <= a.at-window {
			start++
		}
		if len(highest) == 0 || int64(i-start+1) > highest[0].limit {
			if n++; first < 0 {
				first = i
			}
		}
	}
	return n, first
}

// tooManyInBucket counts the admissions for which a bucket that was full at first had no token. A millionth is for
// rounding.
func (l *log) tooManyInBucket(burst, rate float64) (n int, first int) {
	first = -1
	level, last := burst, int64(0)
	for i, a := range l.admissions {
		level = min(level+rate*float64(a.at-last)/float64(second), burst)
		last = a.at
		if level < 1-1e-6 {
			if n++; first < 0 {
				first = i
			}
			continue
		}
		level--
	}
	return n, first
}

// trace is what led to an admission: what Redis granted and what was used in a time before.
func (l *log) trace(i int, before int64) string {
	end := l.admissions[i].at
	var b strings.Builder
	used := map[*worker]int{}
	for _, a := range l.admissions[:i+1] {
		if a.at > end-before {
			used[a.worker]++
		}
	}
	fmt.Fprintf(&b, "%v before %v:\n", time.Duration(before), time.Duration(end))
	for _, g := range l.grants {
		if g.at > end-before && g.at <= end && g.granted > 0 {
			fmt.Fprintf(&b, "  %v %s wants %d, gets %d of %d, leaves %d\n", time.Duration(g.at), g.worker.name, g.want, g.granted, g.limit, g.left)
		}
	}
	for _, a := range l.admissions[:i+1] {
		if n := used[a.worker]; n > 0 {
			fmt.Fprintf(&b, "  %s used %d\n", a.worker.name, n)
			delete(used, a.worker)
		}
	}
	return b.String()
}

// fairness of what each got: Jain's index, (sum x)^2 / (n sum x^2), which is 1 where all got the same and 1/n where one
// got all (Jain, Chiu, Hawe, 1984), and the least and the most, as parts of the mean.
func fairness(got []int64) (jain, least, most float64) {
	var sum, squares float64
	for _, n := range got {
		sum += float64(n)
		squares += float64(n) * float64(n)
	}
	if sum == 0 {
		return 0, 0, 0
	}
	mean := sum / float64(len(got))
	return sum * sum / (float64(len(got)) * squares), float64(slices.Min(got)) / mean, float64(slices.Max(got)) / mean
}

func sum(counts []int64) (total int64) {
	for _, n := range counts {
		total += n
	}
	return total
}

// percentile is of sorted times; 0 where there are none.
func percentile(sorted []int64, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return time.Duration(sorted[int(p*float64(len(sorted)-1))])
}
