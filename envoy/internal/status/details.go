package status

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/weir-mesh/weir/filter/adminapi"
)

// Cluster prints one cluster, a line for each section. From is the address of the admin listener, now the time.
func (p Printer) Cluster(from, name string, c *adminapi.Cluster, now time.Time) {
	v := p.Recent.Judge(from, name, c, now)
	fmt.Fprintf(p.Out, "%s at %s, %s: %s", p.paint(bold, Printable(name)), Printable(from), now.UTC().Format(time.RFC3339), p.paint(v.State.color(), v.State.String()))
	if v.Why != "" {
		fmt.Fprintf(p.Out, ": %s", Printable(v.Why))
	}
	fmt.Fprint(p.Out, "\n\n")
	var rows [][]string
	for _, section := range []struct{ title, text string }{
		{"mode", c.Mode},
		{"now", nowLine(p.Recent.rates(from, name))},
		{"circuit breaker", breakerLine(c.Breaker, now)},
		{"rate limit", limitLine(c.RateLimit)},
		{"without Redis", withoutRedisLine(c.RateLimit, now)},
		{"bulkhead", bulkheadLine(c.Bulkhead)},
		{"requests", requestsLine(c.Requests)},
		{"answers", answersLine(c.Answers)},
		{"success rate", successLine(c.Upstream)},
		{"kept answers", keptLine(c.Cache)},
		{"not kept", reasonsLine(c.Cache, func(c *adminapi.Cache) map[string]float64 { return c.NotKept })},
		{"not used", reasonsLine(c.Cache, func(c *adminapi.Cache) map[string]float64 { return c.NotUsed })},
		{"retry", retryLine(c.Retry)},
		{"not carried", uncarriedLine(c.Retry)},
		{"failover", failoverLine(c.Failover)},
	} {
		if section.text != "" {
			rows = append(rows, []string{section.title, Printable(section.text)})
		}
	}
	rows = append(rows, keyRows(c.RateLimit)...)
	for i := range c.Transitions {
		title := ""
		if i == 0 {
			title = "transitions"
		}
		rows = append(rows, []string{title, transitionLine(&c.Transitions[i], false)})
	}
	for _, row := range align(rows, []column{{}, {}}) {
		fmt.Fprintf(p.Out, "%s  %s\n", p.paint(dim, row[0]), strings.TrimRight(row[1], " "))
	}
}

// named are numbers with their names, printed as "3 allowed, 0 rate limited".
type named []struct {
	n    float64
	name string
}

func (n named) String() string {
	parts := make([]string, len(n))
	for i, part := range n {
		parts[i] = number(part.n) + " " + part.name
	}
	return strings.Join(parts, ", ")
}

func breakerLine(b *adminapi.Breaker, now time.Time) string {
	if b == nil {
		return ""
	}
	text := b.State + duration(now, b.Since)
	if cause := causeOf(b); cause != "" {
		text += " (" + cause + ")"
	}
	if b.Forced != "auto" && b.Forced != "" {
		text += ", forced " + b.Forced
	}
	text += fmt.Sprintf("; failures in a row %s of %s, successes of probes %s of %s; opened %s times",
		number(b.FailureCount), number(b.FailureThreshold), number(b.SuccessCount), number(b.SuccessThreshold), number(b.OpensTotal))
	if b.OpenedAt != nil {
		text += ", last at " + b.OpenedAt.Time().Format(time.RFC3339)
	}
	return text + "; recovery timeout " + seconds(b.RecoveryTimeout)
}

func limitLine(l *adminapi.RateLimit) string {
	if l == nil {
		return ""
	}
	text := fmt.Sprintf("%s, scope %s, %s", l.Algorithm, l.Scope, loweredLimit(l))
	if l.Keyed {
		text += " for each key"
	}
	if l.Remaining != nil && l.WithoutRedis == nil {
		text += "; " + number(*l.Remaining) + " left"
	}
	if l.SuccessRate != nil {
		text += "; success rate " + percent(*l.SuccessRate)
	}
	return text + "; " + number(l.LimitedTotal) + " not admitted"
}

// nowLine is what happened lately.
func nowLine(r Rates) string {
	if r.Over == 0 {
		return ""
	}
	return fmt.Sprintf("%s requests/s, %s/s not admitted, %s/s failed, in the last %s", perSecond(r.Requests), perSecond(r.NotAdmitted), perSecond(r.Failed), seconds(r.Over.Round(time.Second).Seconds()))
}

func withoutRedisLine(l *adminapi.RateLimit, now time.Time) string {
	if l == nil || l.WithoutRedis == nil {
		return ""
	}
	return strings.TrimPrefix(withoutRedis(l, now), "without Redis ")
}

func successLine(u *adminapi.Upstream) string {
	if u == nil || u.SuccessRate == nil {
		return ""
	}
	return successRate(u) + "; " + number(u.FailedTotal) + " of the admitted requests failed"
}

func keptLine(c *adminapi.Cache) string {
	if c == nil || c.MaxEntries == 0 { // of a module before 0.2.0
		return ""
	}
	return fmt.Sprintf("%s of %s, %s KB; %s hits, %s misses", number(c.Entries), number(c.MaxEntries), number(math.Ceil(c.Bytes/100)/10), number(c.Hits), number(c.Misses))
}

// keyRows are the keys that the limit refused most, a line for each.
func keyRows(l *adminapi.RateLimit) (rows [][]string) {
	if l == nil || l.RefusedKeys == nil {
		return nil
	}
	k := l.RefusedKeys
	rows = [][]string{{"refused keys", fmt.Sprintf("%s requests from %s to %s, most often of", number(k.Total), k.Since.Time().Format(time.RFC3339), k.Last.Time().Format(time.RFC3339))}}
	for i := range k.Keys {
		rows = append(rows, []string{"", Printable(keyTimes(&k.Keys[i]))})
	}
	return rows
}

// keyTimes is "9f86d081884c7d65 120 times", with the key itself where it is known.
func keyTimes(k *adminapi.RefusedKey) string {
	times := number(k.AtLeast)
	if k.AtMost > k.AtLeast {
		times += " to " + number(k.AtMost)
	}
	text := k.Key
	if k.Text != "" {
		text += " " + k.Text
	}
	return text + " " + times + " times"
}

func bulkheadLine(b *adminapi.Bulkhead) string {
	if b == nil {
		return ""
	}
	return fmt.Sprintf("%s of %s requests in flight; %s not admitted", number(b.InFlight), number(b.MaxConcurrent), number(b.RejectedTotal))
}

func requestsLine(r *adminapi.Requests) string {
	if r == nil {
		return ""
	}
	return named{{r.Allowed, "allowed"}, {r.RateLimited, "rate limited"}, {r.CircuitOpen, "circuit open"}, {r.BulkheadFull, "bulkhead full"}}.String()
}

func answersLine(a *adminapi.Answers) string {
	if a == nil {
		return ""
	}
	return named{
		{a.Upstream, "from upstream"},
		{a.Cache, "cache"},
		{a.StaleCache, "stale cache"},
		{a.Default, "default"},
		{a.Degraded, "degraded"},
		{a.Error, "error"},
	}.String()
}

// reasonsLine is why answers were not kept, or kept ones not used: the most frequent reason first.
func reasonsLine(c *adminapi.Cache, of func(*adminapi.Cache) map[string]float64) string {
	if c == nil {
		return ""
	}
	by := of(c)
	names := slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Or(cmp.Compare(by[b], by[a]), cmp.Compare(a, b)) })
	var parts named
	for _, name := range names {
		parts = append(parts, struct {
			n    float64
			name string
		}{by[name], strings.ReplaceAll(name, "_", " ")})
	}
	return parts.String()
}

func retryLine(r *adminapi.Retry) string {
	if r == nil {
		return ""
	}
	text := named{{r.AttemptsTotal, "made"}, {r.ExhaustedTotal, "requests failed after their last retry"}}.String()
	if r.BudgetRemaining != nil {
		text += "; the budget admits " + number(*r.BudgetRemaining) + " more now"
	}
	return text
}

// uncarriedLine is why further attempts were not carried, the most frequent reason first, and what to do about each.
func uncarriedLine(r *adminapi.Retry) string {
	if r == nil {
		return ""
	}
	by := r.Uncarried
	names := slices.SortedFunc(maps.Keys(by), func(a, b string) int { return cmp.Or(cmp.Compare(by[b].Count, by[a].Count), cmp.Compare(a, b)) })
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = number(by[name].Count) + " " + strings.ReplaceAll(name, "_", " ") + " (" + by[name].Advice + ")"
	}
	return strings.Join(parts, "; ")
}

func failoverLine(f *adminapi.Failover) string {
	if f == nil {
		return ""
	}
	return number(f.ToTotal) + " requests went to " + strings.Join(f.To, ", ")
}
