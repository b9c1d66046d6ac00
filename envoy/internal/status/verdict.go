package status

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/weir-mesh/weir/filter/adminapi"
)

// State is a cluster's state in one word for people. The lower, the worse.
type State int

// The states, the worst first.
const (
	Open         State = iota // the breaker is open: all requests are refused
	ForcedOpen                // an operator forced the breaker open
	NoHost                    // upstream has no healthy host
	Denied                    // Redis is down, and on_error is deny: all requests are refused
	HalfOpen                  // the breaker admits probes
	Full                      // the bulkhead is full
	Limited                   // the limit is used up
	Failing                   // a tenth of the admitted requests failed lately, or more
	WithoutRedis              // Redis is down: each proxy limits by itself, or nothing does
	Lowered                   // an adaptive limit went down
	ForcedClosed              // an operator forced the breaker closed: failures do not open it
	Shadow                    // the policy only observes
	OK                        // none of the above
	Off                       // the policy's mode is off
)

var stateNames = [...]string{
	"open", "forced open", "no host", "denied", "half-open", "full", "limited", "failing", "without Redis", "lowered", "forced closed", "shadow", "ok", "off",
}

// String is the state as it is printed.
func (s State) String() string { return stateNames[s] }

// Verdict is a cluster's state and a sentence with the reason, which may be empty where the state is OK.
type Verdict struct {
	State State
	Why   string
}

// Judge is the verdict on a cluster at a time of the server's clock.
func Judge(c *adminapi.Cluster, now time.Time) Verdict {
	if c.Mode == "off" {
		return Verdict{Off, "its policy is off: requests pass unchanged"}
	}
	v := judge(c, now)
	if c.Mode == "shadow" {
		if v.State == OK {
			return Verdict{Shadow, joined("its policy decides, but does not act", v.Why)}
		}
		return Verdict{Shadow, "would be " + v.State.String() + ": " + v.Why}
	}
	return v
}

func judge(c *adminapi.Cluster, now time.Time) Verdict {
	if b := c.Breaker; b != nil {
		switch {
		case b.Forced == "open":
			return Verdict{ForcedOpen, joined("an operator forced it open"+ago(now, b.Since), "`weir breaker auto` ends it")}
		case b.State == "open":
			why := "opened" + ago(now, firstOf(b.OpenedAt, b.Since))
			if cause := causeOf(b); cause != "" {
				why += " by " + cause
			}
			if b.OpensTotal > 1 {
				why += ", the " + ordinal(b.OpensTotal) + " time"
			}
			if b.RetryAfter > 0 {
				return Verdict{Open, joined(why, "the next probe in "+seconds(b.RetryAfter))}
			}
			return Verdict{Open, joined(why, "the next request is a probe")}
		}
	}
	if c.Upstream != nil && c.Upstream.NoHealthyHost {
		return Verdict{NoHost, "upstream has no healthy host"}
	}
	if l := c.RateLimit; l != nil && l.WithoutRedis != nil && l.WithoutRedis.OnError == "deny" {
		return Verdict{Denied, withoutRedis(l, now)}
	}
	if b := c.Breaker; b != nil && b.State == "half_open" {
		return Verdict{HalfOpen, fmt.Sprintf("probing%s: %s of %s successes that close it", duration(now, b.Since), number(b.SuccessCount), number(b.SuccessThreshold))}
	}
	if b := c.Bulkhead; b != nil && b.MaxConcurrent > 0 && b.InFlight >= b.MaxConcurrent {
		return Verdict{Full, fmt.Sprintf("%s of %s requests in flight; %s not admitted so far", number(b.InFlight), number(b.MaxConcurrent), number(b.RejectedTotal))}
	}
	if l := c.RateLimit; l != nil && l.WithoutRedis != nil {
		return Verdict{WithoutRedis, withoutRedis(l, now)}
	}
	if l := c.RateLimit; l != nil && l.Remaining != nil && *l.Remaining < 1 {
		return Verdict{Limited, fmt.Sprintf("the limit of %s is used up; %s not admitted so far", limitOf(l, l.PerMinute), number(l.LimitedTotal))}
	}
	if l := c.RateLimit; l != nil && l.RefusedKeys != nil && recent(l, now) && len(l.RefusedKeys.Keys) > 0 {
		return Verdict{Limited, fmt.Sprintf("the limit of %s for each key refuses some; most often %s since %s",
			limitOf(l, l.PerMinute), keyTimes(&l.RefusedKeys.Keys[0]), l.RefusedKeys.Since.Time().Format(time.TimeOnly))}
	}
	if l := c.RateLimit; l != nil && l.PerMinute < l.ConfiguredPerMinute {
		why := "the limit went down to " + loweredLimit(l)
		if l.SuccessRate != nil {
			why = "success rate " + percent(*l.SuccessRate) + ": " + why
		}
		return Verdict{Lowered, why}
	}
	if b := c.Breaker; b != nil && b.Forced == "closed" {
		return Verdict{ForcedClosed, joined("an operator forced it closed"+ago(now, b.Since), "failures do not open it")}
	}
	return Verdict{OK, warning(c)}
}

// recent reports whether the limit refused a key within its last window, or ten seconds: so old may the word of it be.
func recent(l *adminapi.RateLimit, now time.Time) bool {
	return now.Sub(l.RefusedKeys.Last.Time()).Seconds() < max(l.Window, 10)
}

// warning is what may soon refuse requests where nothing does yet.
func warning(c *adminapi.Cluster) string {
	if c.Unseen {
		return "no request since Envoy's start: is this the name of one of its clusters?"
	}
	why := ""
	if b := c.Breaker; b != nil && b.FailureCount > 0 {
		why = fmt.Sprintf("%s of %s failures in a row", number(b.FailureCount), number(b.FailureThreshold))
	}
	if r := c.Retry; r != nil && r.BudgetRemaining != nil && *r.BudgetRemaining < 1 {
		why = joined(why, "the retry budget is used up")
	}
	return why
}

// joined joins two parts of a sentence, either of which may be empty.
func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

func firstOf(times ...*adminapi.Time) *adminapi.Time {
	for _, t := range times {
		if t != nil {
			return t
		}
	}
	return nil
}

// ago is " 12s ago", or empty where the time is not known.
func ago(now time.Time, t *adminapi.Time) string {
	if t == nil {
		return ""
	}
	return " " + seconds(now.Sub(t.Time()).Seconds()) + " ago"
}

// duration is " for 12s", or empty where the start is not known.
func duration(now time.Time, t *adminapi.Time) string {
	if t == nil {
		return ""
	}
	return " for " + seconds(now.Sub(t.Time()).Seconds())
}

// seconds prints a duration in its two largest units: 12s, 3m20s, 5h, 2d3h. It rounds up, so that a wait of 50 ms is
// not "in 0s". A negative number or NaN is 0s.
func seconds(s float64) string {
	const most = 1e9 // thirty years
	if !(s > 0) {
		return "0s"
	}
	n := int64(math.Ceil(min(s, most)))
	for i, unit := range units {
		if n < unit.seconds {
			continue
		}
		text := strconv.FormatInt(n/unit.seconds, 10) + unit.name
		if i+1 < len(units) {
			if rest := n % unit.seconds / units[i+1].seconds; rest > 0 {
				text += strconv.FormatInt(rest, 10) + units[i+1].name
			}
		}
		return text
	}
	return "0s"
}

var units = [...]struct {
	seconds int64
	name    string
}{{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}}

// number prints a number without an exponent, with at most two digits after the point: 100, 1.67, 12345.
func number(n float64) string {
	if math.IsNaN(n) || math.Abs(n) >= 1e15 {
		return strconv.FormatFloat(n, 'g', 3, 64)
	}
	return strconv.FormatFloat(math.Round(n*100)/100, 'f', -1, 64)
}

// percent prints a share of 1: 0.64 is 64%.
func percent(share float64) string { return number(share*100) + "%" }

// ordinal prints 2nd, 3rd, 4th, 11th, 21st.
func ordinal(n float64) string {
	suffix := "th"
	if tens := math.Mod(n, 100); tens < 11 || tens > 13 {
		switch math.Mod(n, 10) {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return number(n) + suffix
}
