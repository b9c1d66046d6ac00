package request

import (
	"strconv"
	"time"

	"github.com/weir-mesh/weir/filter/internal/key"
	"github.com/weir-mesh/weir/filter/internal/stage"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
)

// explain is the reason for a decision, for the log at debug:
//
//	rate_limited: limit of 100 reached, retry in 12s
//	allowed: 73 left of the limit, the router may make 2 retries
func (r *Request) explain(v stage.Verdict) string {
	c := r.cluster
	b := make([]byte, 0, 128)
	if c.shadow && v.Reason != fallback.None {
		b = append(b, header.ShadowPrefix...)
	}
	b = append(b, v.Reason.String()...)
	separator := ": "
	say := func(text string, number int64, rest string) {
		b = append(append(b, separator...), text...)
		b = append(strconv.AppendInt(b, number, 10), rest...)
		separator = ", "
	}
	switch v.Reason {
	case fallback.CircuitOpen:
		_, record := c.breakerRecord()
		b = append(append(b, ": circuit breaker is "...), record.Breaker.Status.String()...)
		separator = ", "
	case fallback.BulkheadFull:
		say("all ", int64(c.maxConcurrent), " places are taken")
	case fallback.RateLimited:
		b = append(append(append(b, ": limit of "...), c.replies.Quota()...), " reached"...)
		separator = ", "
	}
	if v.Wait > 0 {
		b = append(append(append(b, separator...), "retry in "...), v.Wait.Round(time.Millisecond).String()...)
	}
	if limit := &r.attempt.Limits[0].Verdict; limit.Admitted {
		say("", limit.Remaining, " left of the limit")
	}
	if c.showsKeys() {
		b = key.AppendHash(append(append(b, separator...), "key "...), c.hashOfKey(r.in.Key))
		if text := r.textOfKey(); text != "" {
			b = append(append(b, ' '), text...)
		}
		separator = ", "
	}
	if c.retries != nil && v.Reason == fallback.None && !c.retries.ByFilter {
		say("the router may make ", int64(r.attempt.Retries.Reserved.Granted), " retries")
	}
	return string(b)
}
