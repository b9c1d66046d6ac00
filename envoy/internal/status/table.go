package status

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/weir-mesh/weir/filter/adminapi"
)

// Printer prints a status for people.
type Printer struct {
	Out    io.Writer
	Color  bool
	Recent *Recent // what clusters did lately; nil: not known
	ByName bool    // the clusters in the order of their names, and not the one first from which clients suffer most
}

// Parameters of ANSI's SGR.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (s State) color() string {
	switch {
	case s <= Denied:
		return red
	case s <= ForcedClosed:
		return yellow
	case s == OK:
		return green
	}
	return dim
}

func (p Printer) paint(code, text string) string {
	if !p.Color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// row is a cluster with its name and verdict.
type row struct {
	at   string // of a fleet: the admin listener's address
	name string
	*adminapi.Cluster
	Verdict
	rates  Rates
	impact int
}

func (p Printer) rowOf(at, name string, c *adminapi.Cluster, now time.Time) row {
	r := row{at: at, name: name, Cluster: c, Verdict: p.Recent.Judge(at, name, c, now), rates: p.Recent.rates(at, name)}
	r.impact = p.Recent.impact(at, name, r.rates, c.Mode == "shadow")
	return r
}

// sort puts the clusters first from which clients suffer most, then the worst states, then by name.
func (p Printer) sort(rows []row) {
	slices.SortFunc(rows, func(a, b row) int {
		byName := cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.at, b.at))
		if p.ByName {
			return byName
		}
		return cmp.Or(cmp.Compare(b.impact, a.impact), cmp.Compare(a.State, b.State), byName)
	})
}

// column is a column of the table. Its cell is empty where the cluster does not have the section; a column of empty
// cells is left out.
type column struct {
	title string
	right bool // numbers
	cell  func(row) string
}

var columns = []column{
	{"STATE", false, func(r row) string { return r.State.String() }},
	{"CLUSTER", false, func(r row) string { return shortened(Printable(r.name)) }},
	{"REQ/S", true, func(r row) string {
		if r.rates.Over == 0 {
			return ""
		}
		return perSecond(r.rates.Requests)
	}},
	{"NOT ADMITTED/S", true, func(r row) string { return rateUnlessZero(r.rates.NotAdmitted) }},
	{"FAILED/S", true, func(r row) string { return rateUnlessZero(r.rates.Failed) }},
	{"SUCCESS", true, func(r row) string {
		return successRate(r.Upstream)
	}},
	{"LIMIT", true, func(r row) string {
		l := r.RateLimit
		if l == nil {
			return ""
		}
		text := loweredLimit(l)
		if l.Algorithm == "token_bucket" {
			text = refill(l.PerMinute)
		}
		if l.Keyed {
			text += " each"
		}
		return text
	}},
	{"LEFT", true, func(r row) string {
		if r.RateLimit == nil || r.RateLimit.Remaining == nil || r.RateLimit.WithoutRedis != nil { // what Redis said last is no more so
			return ""
		}
		return number(*r.RateLimit.Remaining)
	}},
	{"IN FLIGHT", true, func(r row) string {
		if r.Bulkhead == nil {
			return ""
		}
		return number(r.Bulkhead.InFlight) + "/" + number(r.Bulkhead.MaxConcurrent)
	}},
	{"ALLOWED", true, func(r row) string {
		if r.Requests == nil {
			return ""
		}
		return number(r.Requests.Allowed)
	}},
	{"NOT ADMITTED", true, func(r row) string {
		if r.Requests == nil {
			return ""
		}
		return number(notAdmitted(r.Requests))
	}},
	{"FALLBACK", true, func(r row) string {
		if r.Answers == nil {
			return ""
		}
		return number(fromFallback(r.Answers))
	}},
	{"RETRIES", true, func(r row) string {
		if r.Retry == nil {
			return ""
		}
		return number(r.Retry.AttemptsTotal)
	}},
	{"FAILED OVER", true, func(r row) string {
		if r.Failover == nil {
			return ""
		}
		return number(r.Failover.ToTotal)
	}},
	{"WHY", false, func(r row) string { return Printable(r.Why) }},
}

// successRate is rounded down: 100% is without any failure.
func successRate(u *adminapi.Upstream) string {
	if u == nil || u.SuccessRate == nil {
		return ""
	}
	return percent(math.Floor(*u.SuccessRate*1000) / 1000)
}

// rateUnlessZero leaves a column empty where all is well, and so out of the table.
func rateUnlessZero(n float64) string {
	if n <= 0 {
		return ""
	}
	return perSecond(n)
}

// notAdmitted is how many requests the policy did not admit; a fallback may have answered them.
func notAdmitted(r *adminapi.Requests) float64 { return r.RateLimited + r.CircuitOpen + r.BulkheadFull }

// fromFallback is how many answers a fallback gave; errors are not among them.
func fromFallback(a *adminapi.Answers) float64 {
	return a.Cache + a.StaleCache + a.Default + a.Degraded
}

// Status prints a summary and a line for each cluster, in the order of sort. From is the address
// of the admin listener.
func (p Printer) Status(from string, s *adminapi.Status) {
	rows := make([]row, 0, len(s.Clusters))
	for name, c := range s.Clusters {
		rows = append(rows, p.rowOf(from, name, &c, s.Time.Time()))
	}
	p.sort(rows)
	version := ""
	if s.Version != "" {
		version = ", Weir " + Printable(s.Version)
	}
	version += envoyOf(s.Envoy)
	fmt.Fprintf(p.Out, "%s at %s%s: %s\n", p.paint(bold, Printable(from)), s.Time.Time().Format(time.RFC3339), version, summary(rows))
	if s.Redis != nil && s.Redis.State != "off" {
		code := dim
		if s.Redis.State != "ok" {
			code = red
		}
		fmt.Fprintf(p.Out, "Redis: %s, %s calls, %s of them failed\n", p.paint(code, Printable(s.Redis.State)), number(s.Redis.CallsTotal), number(s.Redis.ErrorsTotal))
		if e := s.Redis.LastError; e != nil && s.Redis.State != "ok" {
			concerns := ""
			if e.Cluster != "" {
				concerns = " for the limit of " + e.Cluster
			}
			fmt.Fprintln(p.Out, p.paint(red, Printable(fmt.Sprintf("%s%s: %s; %s.", e.Name, concerns, e.Message, e.Advice))))
		}
	}
	for _, one := range s.Policies {
		fmt.Fprintf(p.Out, "Policy %d in force since %s\n", one.Version, one.Since.Time().Format(time.RFC3339))
		if len(one.Unmatched) > 0 {
			fmt.Fprintln(p.Out, p.paint(yellow, "  No request has matched "+Printable(strings.Join(one.Unmatched, ", "))))
		}
	}
	if r := s.Refused; r != nil {
		fmt.Fprintln(p.Out, p.paint(red, fmt.Sprintf("%s was refused at %s, and the one before stays in force. This is shown until a new one starts.",
			refusedName(r), r.At.Time().Format(time.RFC3339))))
		for _, reason := range r.Reasons {
			fmt.Fprintln(p.Out, "  "+Printable(reason))
		}
	}
	if m := s.Misrouted; m != nil {
		fmt.Fprintln(p.Out, p.paint(yellow, fmt.Sprintf("%s seen requests went to %s, decided by the policy of %s (the last at %s): another filter changed their route. "+
			"Put a CORS filter right before Weir, and that filter before it, as `weir render envoy` does (resolve_route).",
			number(m.Total), Printable(m.To), Printable(m.Cluster), m.At.Time().Format(time.RFC3339))))
	}
	if m := s.Missing; m != nil {
		fmt.Fprintln(p.Out, p.paint(yellow, fmt.Sprintf("%s requests to %s got the cluster's own policy, since the policy %s that their route or the cluster names is not there "+
			"(the last at %s): add it to policies, or correct the metadata weir.policy.",
			number(m.Total), Printable(m.Cluster), Printable(m.Policy), m.At.Time().Format(time.RFC3339))))
	}
	if s.LeftOut {
		fmt.Fprintln(p.Out, p.paint(yellow, "Weir has more clusters than it can list; some are left out. They work all the same."))
	}
	if len(rows) > 0 {
		fmt.Fprintln(p.Out)
		p.table(columns, rows)
	}
	p.transitions(s.Transitions)
}

// envoyOf is " in edge-1, Envoy 1.40.0, since 2026-11-24T09:00:00Z", without what is not known.
func envoyOf(e *adminapi.Envoy) (text string) {
	if e == nil {
		return ""
	}
	if e.Node != "" {
		text += " in " + Printable(e.Node)
	}
	if e.Version != "" {
		text += ", Envoy " + Printable(e.Version)
	}
	if e.Since != nil {
		text += ", since " + e.Since.Time().Format(time.RFC3339)
	}
	return text
}

// shownTransitions is how many the table shows.
const shownTransitions = 5

// transitions lists the last changes of circuit breakers, the newest first.
func (p Printer) transitions(all []adminapi.Transition) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(p.Out, "\nLast changes of circuit breakers:")
	for i := range all[:min(len(all), shownTransitions)] {
		fmt.Fprintln(p.Out, "  "+transitionLine(&all[i], true))
	}
}

// transitionLine is "2026-11-24T09:59:48Z aws_pricing closed -> open (consecutive_failures, status 503)".
func transitionLine(t *adminapi.Transition, named bool) string {
	text := t.At.Time().Format(time.RFC3339) + " "
	if named {
		text += Printable(t.Cluster) + " "
	}
	return text + Printable(fmt.Sprintf("%s -> %s (%s)", t.From, t.To, t.Cause))
}

// refusedName is "Policy 2804519113", without the version where the document could not be read.
func refusedName(r *adminapi.Refused) string {
	if r.Version == 0 {
		return "A policy"
	}
	return fmt.Sprintf("Policy %d", r.Version)
}

// summary is "3 clusters, 1 open, 2 ok".
func summary(rows []row) string {
	text := fmt.Sprintf("%d clusters", len(rows))
	switch len(rows) {
	case 0:
		return "no clusters: no cluster has a policy, or the listeners with Weir's filter have not started yet"
	case 1:
		text = "1 cluster"
	}
	var counts [Off + 1]int
	for _, r := range rows {
		counts[r.State]++
	}
	for state, n := range counts {
		if n > 0 {
			text += fmt.Sprintf(", %d %s", n, State(state))
		}
	}
	return text
}

func (p Printer) table(columns []column, rows []row) {
	lines := make([][]string, 1+len(rows))
	var shown []column
	for _, c := range columns {
		cells, used := []string{c.title}, false
		for _, r := range rows {
			text := c.cell(r)
			used = used || text != ""
			cells = append(cells, text)
		}
		if !used {
			continue
		}
		shown = append(shown, c)
		for i, text := range cells {
			lines[i] = append(lines[i], text)
		}
	}
	for i, cells := range align(lines, shown) {
		line := func() string { return strings.TrimRight(strings.Join(cells, "  "), " ") }
		if i == 0 {
			fmt.Fprintln(p.Out, p.paint(dim, line()))
			continue
		}
		cells[0] = p.paint(rows[i-1].State.color(), cells[0])
		fmt.Fprintln(p.Out, line())
	}
}

// align pads each cell to its column's width. (text/tabwriter aligns all columns of a table to the same side.)
func align(rows [][]string, columns []column) [][]string {
	for i, c := range columns {
		width := 0
		for _, row := range rows {
			width = max(width, utf8.RuneCountInString(row[i]))
		}
		for _, row := range rows {
			space := strings.Repeat(" ", width-utf8.RuneCountInString(row[i]))
			if c.right {
				row[i] = space + row[i]
			} else {
				row[i] += space
			}
		}
	}
	return rows
}

// shortened keeps a name from pushing everything else off the screen.
func shortened(name string) string {
	const most = 48
	if utf8.RuneCountInString(name) <= most {
		return name
	}
	return string([]rune(name)[:most-1]) + "…"
}
