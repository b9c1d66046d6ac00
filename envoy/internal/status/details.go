package status

import (
	"fmt"
	"strings"
	"time"
)

// One writes all there is about one cluster, a line for each section. from is where it came from, now the moment.
func (p Page) One(from, name string, c *Cluster, now time.Time) {
	v := c.Judge(now)
	fmt.Fprintf(p.Out, "%s at %s, %s: %s", p.paint(bold, Printable(name)), Printable(from), now.UTC().Format(time.RFC3339), p.paint(v.State.color(), v.State.String()))
	if v.Why != "" {
		fmt.Fprintf(p.Out, ": %s", Printable(v.Why))
	}
	fmt.Fprint(p.Out, "\n\n")
	var rows [][]string
	for _, section := range []struct{ title, text string }{
		{"mode", c.Mode},
		{"circuit breaker", c.Breaker.line(now)},
		{"rate limit", c.RateLimit.line()},
		{"bulkhead", c.Bulkhead.line()},
		{"requests", c.Requests.line()},
		{"answers", c.Answers.line()},
		{"retry", c.Retry.line()},
		{"failover", c.Failover.line()},
	} {
		if section.text != "" {
			rows = append(rows, []string{section.title, Printable(section.text)})
		}
	}
	for _, row := range align(rows, []column{{}, {}}) {
		fmt.Fprintf(p.Out, "%s  %s\n", p.paint(dim, row[0]), strings.TrimRight(row[1], " "))
	}
}

// counted is "3 a, 0 b" of pairs of a number and a name.
type counted []struct {
	n    float64
	name string
}

func (c counted) String() string {
	parts := make([]string, len(c))
	for i, one := range c {
		parts[i] = number(one.n) + " " + one.name
	}
	return strings.Join(parts, ", ")
}

func (b *Breaker) line(now time.Time) string {
	if b == nil {
		return ""
	}
	text := b.State + lasting(now, b.Since)
	if by := b.by(); by != "" {
		text += " (" + by + ")"
	}
	if b.Forced != "auto" && b.Forced != "" {
		text += ", forced " + b.Forced
	}
	text += fmt.Sprintf("; failures in a row %s of %s, successes of probes %s of %s; opened %s times",
		number(b.Failures), number(b.FailureThreshold), number(b.Successes), number(b.SuccessThreshold), number(b.Opens))
	if b.OpenedAt != nil {
		text += ", last at " + b.OpenedAt.UTC().Format(time.RFC3339)
	}
	return text + "; recovery timeout " + seconds(b.RecoveryTimeout)
}

func (l *RateLimit) line() string {
	if l == nil {
		return ""
	}
	text := fmt.Sprintf("%s, scope %s, %s requests a minute", l.Algorithm, l.Scope, number(l.PerMinute))
	if l.PerMinute != l.Configured {
		text += " of " + number(l.Configured) + " configured"
	}
	if l.Keyed {
		text += ", each key by itself"
	}
	text += ", window " + seconds(l.Window)
	if l.Remaining != nil {
		text += "; " + number(*l.Remaining) + " left"
	}
	if l.SuccessRate != nil {
		text += "; success rate " + percent(*l.SuccessRate)
	}
	return text + "; " + number(l.Limited) + " refused"
}

func (b *Bulkhead) line() string {
	if b == nil {
		return ""
	}
	return fmt.Sprintf("%s of %s places taken; %s refused", number(b.InFlight), number(b.MaxConcurrent), number(b.Rejected))
}

func (r *Requests) line() string {
	if r == nil {
		return ""
	}
	return counted{{r.Allowed, "allowed"}, {r.RateLimited, "rate limited"}, {r.CircuitOpen, "circuit open"}, {r.BulkheadFull, "bulkhead full"}}.String()
}

func (a *Answers) line() string {
	if a == nil {
		return ""
	}
	return counted{
		{a.Upstream, "from upstream"},
		{a.Cache, "cache"},
		{a.StaleCache, "stale cache"},
		{a.Default, "default"},
		{a.Degraded, "degraded"},
		{a.Error, "error"},
	}.String()
}

func (r *Retry) line() string {
	if r == nil {
		return ""
	}
	text := counted{{r.Attempts, "made"}, {r.Exhausted, "requests ran out of them"}}.String()
	if r.BudgetRemaining != nil {
		text += "; budget for " + number(*r.BudgetRemaining) + " more now"
	}
	return text
}

func (f *Failover) line() string {
	if f == nil {
		return ""
	}
	return number(f.Total) + " requests went to " + strings.Join(f.To, ", ")
}
