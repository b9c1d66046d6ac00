package redis_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/sharedstate/redis"
)

// TestScriptsAgainstAdversary leases without the code that does: tokens are used whenever that does the most harm
// within a lease's life, settled late, truly and in any order, or never. First most are not used at all, so that they
// come back; in the end all are wanted at once.
func TestScriptsAgainstAdversary(t *testing.T) {
	t.Parallel()
	redis.OnEngines(t, func(t *testing.T, e *redis.Engine) {
		rapid.Check(t, func(rt *rapid.T) {
			e.Clear(t)
			bucket := rapid.Bool().Draw(rt, "bucket")
			window := rapid.SampledFrom([]time.Duration{time.Second, 10 * time.Second}).Draw(rt, "window")
			requests := rapid.OneOf(rapid.Int64Range(1, 30), rapid.Int64Range(513, 600)).Draw(rt, "limit")
			ttl := min(time.Duration(rapid.Int64Range(1, 500).Draw(rt, "ttl"))*time.Millisecond, window/10)
			refill := float64(requests) / window.Seconds() * rapid.SampledFrom([]float64{0.2, 1, 10}).Draw(rt, "refill")
			limit := redis.NewSlidingWindow(requests, window, ttl)
			if bucket {
				limit = redis.NewTokenBucket(requests, refill, ttl)
			}
			place := redis.NewPlace("weir:", "a")
			life := int64(limit.TTL() / time.Microsecond)
			type owed struct {
				settled redis.Settlement
				from    int64 // when the settlement may go out
			}
			var uses []int64
			var open []owed
			now, n := int64(epoch), rapid.IntRange(1, 40).Draw(rt, "calls")
			burst := rapid.IntRange(0, n).Draw(rt, "burst")
			for number := range n {
				wild := number >= burst
				now += rapid.OneOf(rapid.Int64Range(0, max(life/3, 1)), rapid.Int64Range(0, 2*life), rapid.Int64Range(0, int64(window/time.Microsecond))).Draw(rt, "step")
				req := &redis.LeaseRequest{Holder: "h", Number: int64(number) + 1, Proxy: "p"}
				req.Want = rapid.Int64Range(0, requests).Draw(rt, "want")
				if wild {
					req.Want = requests
				}
				req.Need = req.Want
				for len(req.Settled) < redis.MaxSettled && len(open) > 0 {
					i := rapid.IntRange(0, len(open)-1).Draw(rt, "settled")
					if open[i].from > now || (!wild && rapid.IntRange(0, 3).Draw(rt, "patience") == 0) {
						break
					}
					req.Settled = append(req.Settled, open[i].settled)
					open = slices.Delete(open, i, i+1)
				}
				r, err := limit.Read(e.Run(limit, redis.CommandOf(limit, place, req), now), req)
				if err != nil {
					rt.Fatal(err)
				}
				if r.Granted == 0 {
					continue
				}
				s := redis.Settlement{Number: req.Number, At: r.At}
				used := rapid.SampledFrom([]int64{0, 0, 1, r.Granted / 2, r.Granted}).Draw(rt, "used")
				if wild {
					used = r.Granted
				}
				offset := rapid.SampledFrom([]int64{0, life / 2, life}).Draw(rt, "offset")
				for range used {
					uses = append(uses, (r.At-epoch+offset)*1000)
				}
				if used > 0 {
					s.Uses[0], s.Len = redis.Use{Offset: offset, Tokens: used}, 1
				}
				open = append(open, owed{s, now + min(offset, life)})
			}
			slices.Sort(uses)
			if bucket {
				bucketPromised(rt, uses, float64(requests), math.Floor(refill*1e6+1e-4)/1e6)
			} else {
				promised(rt, uses, requests, window)
			}
		})
	})
}
