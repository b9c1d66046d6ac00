package replay

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/weir-mesh/weir/policy"
)

// A suggested number is what the log's requests needed, and a fifth more:
//
//	rate_limit          the most requests that began within any one window_size
//	of a token bucket   refill_rate: those of any one minute, spread over it; burst_capacity: the largest burst at that rate
//	by key              of what the keys needed, the 99th percentile: one key in a hundred would be refused something
//	bulkhead            the most requests that were in flight at one moment
const margin = 1.2

func withMargin(n int) int { return int(math.Ceil(float64(n)*margin - 1e-9)) }

// need is the smallest limit that admits all requests that begin at these times, in order.
func need(limit *policy.RateLimit, starts []int64) int {
	if limit.Algorithm == policy.TokenBucket {
		return needBurst(limit.Refill, starts)
	}
	return needWindow(limit.Window, starts)
}

// needWindow is the most requests of any window: at 0 s, 1 s, 59.9 s and 60 s, of 60 s: 3.
func needWindow(window time.Duration, starts []int64) (most int) {
	first := 0
	for i, at := range starts {
		for starts[first] <= at-int64(window) {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// needBurst is the capacity of a bucket that is full at first, and gets rate tokens a second.
func needBurst(rate float64, starts []int64) int {
	missing, most := 0.0, 0.0 // tokens below full
	for i, at := range starts {
		if i > 0 {
			missing = max(missing-rate*float64(at-starts[i-1])/1e9, 0)
		}
		missing++
		most = max(most, missing)
	}
	return int(math.Ceil(most - 1e-6))
}

// mostConcurrent is the most requests in flight at one moment. It sorts ends.
func mostConcurrent(starts, ends []int64) (most int) {
	slices.Sort(ends)
	over := 0
	for i, at := range starts {
		for over < i && ends[over] <= at {
			over++
		}
		most = max(most, i+1-over)
	}
	return most
}

// suggestLimit suggests a limit for keys whose requests begin at these times: of one for all there is one key.
func suggestLimit(limit *policy.RateLimit, keys [][]int64) []Suggestion {
	whose := "there were at most"
	if len(limit.Key) > 0 {
		whose = "99 % of the keys had at most"
	}
	if limit.Algorithm != policy.TokenBucket {
		n := percentile(keys, func(starts []int64) int { return needWindow(limit.Window, starts) })
		return []Suggestion{{
			Path: "rate_limit.requests", Value: float64(withMargin(n)), Now: float64(limit.Requests),
			Why: fmt.Sprintf("%s %d requests within %v; a fifth more", whose, n, limit.Window),
		}}
	}
	perMinute := percentile(keys, func(starts []int64) int { return needWindow(time.Minute, starts) })
	refill := math.Ceil(float64(perMinute)*margin/60*1000) / 1000
	burst := percentile(keys, func(starts []int64) int { return needBurst(refill, starts) })
	return []Suggestion{{
		Path: "rate_limit.refill_rate", Value: refill, Now: limit.Refill,
		Why: fmt.Sprintf("%s %d requests within a minute; a fifth more", whose, perMinute),
	}, {
		Path: "rate_limit.burst_capacity", Value: float64(withMargin(burst)), Now: float64(limit.Burst),
		Why: fmt.Sprintf("%s %d requests more than that rate allows; a fifth more", whose, burst),
	}}
}

func suggestBulkhead(b *policy.Bulkhead, most int) Suggestion {
	return Suggestion{
		Path: "bulkhead.max_concurrent", Value: float64(withMargin(most)), Now: float64(b.MaxConcurrent),
		Why: fmt.Sprintf("at most %d requests were in flight at once; a fifth more", most),
	}
}

// percentile is the number that what 99 % of the keys need is not above.
func percentile(keys [][]int64, need func(starts []int64) int) int {
	if len(keys) == 0 {
		return 0
	}
	needs := make([]int, len(keys))
	for i, starts := range keys {
		needs[i] = need(starts)
	}
	slices.Sort(needs)
	return needs[(99*len(needs)+99)/100-1]
}
