package status

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Page is how a status is written.
type Page struct {
	Out   io.Writer
	Color bool
}

// Colours by their ANSI codes.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func (s State) color() string {
	switch {
	case s <= NoHost:
		return red
	case s <= ForcedClosed:
		return yellow
	case s == OK:
		return green
	}
	return dim
}

func (p Page) paint(code, text string) string {
	if !p.Color || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// judged is a cluster with its name and verdict.
type judged struct {
	name string
	*Cluster
	Verdict
}

// column is a column of the table; its cell is empty where the cluster has no such section, and a column without any
// cell is left out.
type column struct {
	title string
	right bool // numbers
	cell  func(judged) string
}

var columns = []column{
	{"STATE", false, func(j judged) string { return j.State.String() }},
	{"CLUSTER", false, func(j judged) string { return shortened(Printable(j.name)) }},
	{"LIMIT/MIN", true, func(j judged) string {
		l := j.RateLimit
		switch {
		case l == nil:
			return ""
		case l.PerMinute != l.Configured:
			return number(l.PerMinute) + "/" + number(l.Configured)
		case l.Keyed:
			return number(l.PerMinute) + " each"
		}
		return number(l.PerMinute)
	}},
	{"LEFT", true, func(j judged) string {
		if j.RateLimit == nil || j.RateLimit.Remaining == nil {
			return ""
		}
		return number(*j.RateLimit.Remaining)
	}},
	{"IN FLIGHT", true, func(j judged) string {
		if j.Bulkhead == nil {
			return ""
		}
		return number(j.Bulkhead.InFlight) + "/" + number(j.Bulkhead.MaxConcurrent)
	}},
	{"ALLOWED", true, func(j judged) string {
		if j.Requests == nil {
			return ""
		}
		return number(j.Requests.Allowed)
	}},
	{"REFUSED", true, func(j judged) string {
		if j.Requests == nil {
			return ""
		}
		return number(j.Requests.refused())
	}},
	{"FALLBACK", true, func(j judged) string {
		if j.Answers == nil {
			return ""
		}
		return number(j.Answers.fallback())
	}},
	{"RETRIES", true, func(j judged) string {
		if j.Retry == nil {
			return ""
		}
		return number(j.Retry.Attempts)
	}},
	{"FAILED OVER", true, func(j judged) string {
		if j.Failover == nil {
			return ""
		}
		return number(j.Failover.Total)
	}},
	{"WHY", false, func(j judged) string { return Printable(j.Why) }},
}

// All writes every cluster as one line, the most troubled first, under a line that sums them up. from is where the
// status came from.
func (p Page) All(from string, s *Status) {
	clusters := make([]judged, 0, len(s.Clusters))
	for name, c := range s.Clusters {
		clusters = append(clusters, judged{name, &c, c.Judge(s.Time)})
	}
	slices.SortFunc(clusters, func(a, b judged) int {
		return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(a.name, b.name))
	})
	fmt.Fprintf(p.Out, "%s at %s: %s\n", p.paint(bold, Printable(from)), s.Time.UTC().Format(time.RFC3339), sums(clusters))
	if s.Redis != nil && s.Redis.State != "off" {
		code := dim
		if s.Redis.State != "ok" {
			code = red
		}
		fmt.Fprintf(p.Out, "Redis: %s, %s calls, %s of them failed\n", p.paint(code, Printable(s.Redis.State)), number(s.Redis.Calls), number(s.Redis.Errors))
	}
	if s.LeftOut {
		fmt.Fprintln(p.Out, p.paint(yellow, "There are more clusters than Weir keeps account of; some are left out."))
	}
	if len(clusters) > 0 {
		fmt.Fprintln(p.Out)
		p.table(clusters)
	}
}

// sums is "3 clusters, 1 open, 2 ok".
func sums(clusters []judged) string {
	text := fmt.Sprintf("%d clusters", len(clusters))
	switch len(clusters) {
	case 0:
		return "no cluster yet: none has a policy, or the traffic listener has not started"
	case 1:
		text = "1 cluster"
	}
	for _, state := range []State{Open, ForcedOpen, NoHost, HalfOpen, Full, Limited, Lowered, ForcedClosed, Shadow, OK, Off} {
		n := 0
		for _, c := range clusters {
			if c.State == state {
				n++
			}
		}
		if n > 0 {
			text += fmt.Sprintf(", %d %s", n, state)
		}
	}
	return text
}

func (p Page) table(clusters []judged) {
	rows := make([][]string, 1+len(clusters))
	var shown []column
	for _, c := range columns {
		cells, used := []string{c.title}, false
		for _, j := range clusters {
			text := c.cell(j)
			used = used || text != ""
			cells = append(cells, text)
		}
		if !used {
			continue
		}
		shown = append(shown, c)
		for i, text := range cells {
			rows[i] = append(rows[i], text)
		}
	}
	for i, row := range align(rows, shown) {
		line := func() string { return strings.TrimRight(strings.Join(row, "  "), " ") }
		if i == 0 {
			fmt.Fprintln(p.Out, p.paint(dim, line()))
			continue
		}
		row[0] = p.paint(clusters[i-1].State.color(), row[0])
		fmt.Fprintln(p.Out, line())
	}
}

// align fills each cell up to its column's width.
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
