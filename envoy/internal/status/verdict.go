package status

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// State is how a cluster is, in one word of a person's. The lower, the more troubled.
type State int

// States by their trouble.
const (
	Open         State = iota // all is refused: the breaker is open
	ForcedOpen                // all is refused: an operator wants it so
	NoHost                    // upstream has no healthy host
	HalfOpen                  // probing
	Full                      // all places are taken
	Limited                   // the limit's window is used up
	Lowered                   // an adaptive limit went down
	ForcedClosed              // failures do not open the breaker: an operator wants it so
	Shadow                    // something of the above would hold, if the mode were not shadow
	OK                        // nothing to say
	Off                       // the policy's mode is off
)

var stateNames = [...]string{
	"open", "forced open", "no host", "half-open", "full", "limited", "lowered", "forced closed", "shadow", "ok", "off",
}

// String is the word.
func (s State) String() string { return stateNames[s] }

// Verdict is a cluster's state with the sentence that says why; a healthy cluster's may be empty.
type Verdict struct {
	State State
	Why   string
}

// Judge says how a cluster is at a moment, which is the server's.
func (c *Cluster) Judge(now time.Time) Verdict {
	if c.Mode == "off" {
		return Verdict{Off, "its policy is off: requests pass untouched"}
	}
	v := c.judge(now)
	if c.Mode == "shadow" {
		if v.State == OK {
			return Verdict{Shadow, joined("decides, but does not act", v.Why)}
		}
		return Verdict{Shadow, "only in shadow " + v.State.String() + ": " + v.Why}
	}
	return v
}

func (c *Cluster) judge(now time.Time) Verdict {
	if b := c.Breaker; b != nil {
		switch {
		case b.Forced == "open":
			return Verdict{ForcedOpen, joined("an operator forced it open"+ago(now, b.Since), "`weir reset` ends it")}
		case b.State == "open":
			why := "opened" + ago(now, firstOf(b.OpenedAt, b.Since))
			if by := b.by(); by != "" {
				why += " by " + by
			}
			if b.Opens > 1 {
				why += ", the " + ordinal(b.Opens) + " time"
			}
			if b.RetryAfter != nil && *b.RetryAfter > 0 {
				return Verdict{Open, joined(why, "the next probe in "+seconds(*b.RetryAfter))}
			}
			return Verdict{Open, joined(why, "the next request is a probe")}
		}
	}
	if c.Upstream != nil && c.Upstream.NoHealthyHost {
		return Verdict{NoHost, "upstream has no healthy host"}
	}
	if b := c.Breaker; b != nil && b.State == "half_open" {
		return Verdict{HalfOpen, fmt.Sprintf("probing%s: %s of %s successes that close it", lasting(now, b.Since), number(b.Successes), number(b.SuccessThreshold))}
	}
	if b := c.Bulkhead; b != nil && b.MaxConcurrent > 0 && b.InFlight >= b.MaxConcurrent {
		return Verdict{Full, fmt.Sprintf("all %s places are taken; %s refused so far", number(b.MaxConcurrent), number(b.Rejected))}
	}
	if l := c.RateLimit; l != nil && l.Remaining != nil && *l.Remaining < 1 {
		return Verdict{Limited, fmt.Sprintf("nothing is left of %s a minute; %s refused so far", number(l.PerMinute), number(l.Limited))}
	}
	if l := c.RateLimit; l != nil && l.PerMinute < l.Configured {
		why := fmt.Sprintf("the limit went down to %s of %s a minute", number(l.PerMinute), number(l.Configured))
		if l.SuccessRate != nil {
			why = "success rate " + percent(*l.SuccessRate) + ": " + why
		}
		return Verdict{Lowered, why}
	}
	if b := c.Breaker; b != nil && b.Forced == "closed" {
		return Verdict{ForcedClosed, joined("an operator forced it closed"+ago(now, b.Since), "failures do not open it")}
	}
	return Verdict{OK, c.worry()}
}

// worry is what is worth a word where nothing is refused.
func (c *Cluster) worry() string {
	why := ""
	if b := c.Breaker; b != nil && b.Failures > 0 {
		why = fmt.Sprintf("%s of %s failures in a row", number(b.Failures), number(b.FailureThreshold))
	}
	if r := c.Retry; r != nil && r.BudgetRemaining != nil && *r.BudgetRemaining < 1 {
		why = joined(why, "the budget for retries is used up")
	}
	return why
}

// joined are two parts of a sentence, either of which may be missing.
func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

func firstOf(times ...*time.Time) *time.Time {
	for _, t := range times {
		if t != nil {
			return t
		}
	}
	return nil
}

// ago is " 12s ago", or nothing where the time is not known.
func ago(now time.Time, t *time.Time) string {
	if t == nil {
		return ""
	}
	return " " + seconds(now.Sub(*t).Seconds()) + " ago"
}

// lasting is " for 12s", or nothing.
func lasting(now time.Time, t *time.Time) string {
	if t == nil {
		return ""
	}
	return " for " + seconds(now.Sub(*t).Seconds())
}

// seconds is a duration in its two largest units: 12s, 3m20s, 5h, 2d3h. Begun seconds count as whole ones, so that
// "in 1s" is never "in 0s"; what is negative, or no number, is 0s.
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

// number is a count without an exponent and with at most two digits after the point: 100, 1.67, 12345.
func number(n float64) string {
	if math.IsNaN(n) || math.Abs(n) >= 1e15 {
		return strconv.FormatFloat(n, 'g', 3, 64)
	}
	return strconv.FormatFloat(math.Round(n*100)/100, 'f', -1, 64)
}

// percent is a share of 1: 0.64 is 64%.
func percent(share float64) string { return number(share*100) + "%" }

// ordinal is 2nd, 3rd, 4th, 11th, 21st.
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
