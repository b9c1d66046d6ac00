package replay

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

const (
	moment          = "2006-01-02 15:04:05.000"
	mostTransitions = 20
	mostUncovered   = 5
)

// Text prints a report for people.
func Text(w io.Writer, r *Report) {
	l := &r.Log
	fmt.Fprintf(w, "%s requests", Thousands(l.Requests))
	if l.Requests > 0 {
		fmt.Fprintf(w, " from %s to %s UTC", l.From.Format(moment), l.To.Format(moment))
	}
	fmt.Fprintf(w, ", of %s lines\n", Thousands(l.Lines))
	if l.WithoutCluster > 0 {
		fmt.Fprintf(w, "lines that name no cluster, and are left out: %s; --cluster, --cluster-of or --field upstream_cluster=KEY names it\n", Thousands(l.WithoutCluster))
	}
	if l.Unreadable > 0 {
		fmt.Fprintf(w, "lines that can't be read: %s\n", Thousands(l.Unreadable))
		for _, m := range l.FirstMistakes {
			fmt.Fprintf(w, "  line %d: %s\n", m.Line, m.Reason)
		}
	}
	if l.RefusedByWeir > 0 {
		fmt.Fprintf(w, "requests that a Weir had refused: %s\n", Thousands(l.RefusedByWeir))
	}
	for i := range r.Policies {
		fmt.Fprintln(w)
		printPolicy(w, &r.Policies[i])
	}
	if len(r.Policies) == 2 {
		printDifferences(w, r)
	}
}

func printPolicy(w io.Writer, p *PolicyReport) {
	fmt.Fprintf(w, "%s\n", p.File)
	for _, note := range p.Notes {
		fmt.Fprintf(w, "  note: %s\n", note)
	}
	for _, fault := range p.Faults {
		fmt.Fprintf(w, "  fault: %s\n", printable(fault))
	}
	if n := len(p.WithoutPolicy); n > 0 {
		var some []string
		for _, c := range p.WithoutPolicy[:min(n, mostUncovered)] {
			some = append(some, fmt.Sprintf("%s (%s)", printable(c.Cluster), Thousands(c.Requests)))
		}
		if n > mostUncovered {
			some = append(some, fmt.Sprintf("and %d more", n-mostUncovered))
		}
		fmt.Fprintf(w, "  without a policy: %s\n", strings.Join(some, ", "))
	}
	if len(p.Clusters) == 0 {
		fmt.Fprintln(w, "  no request went to a cluster with a policy")
		return
	}
	fmt.Fprintln(w)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "requests\tadmitted\trate_limited\tcircuit_open\tbulkhead_full\tat once\tfullest minute\t  cluster")
	for _, c := range p.Clusters {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t  %s\n", Thousands(c.Requests), Thousands(c.Admitted), Thousands(c.RateLimited),
			Thousands(c.CircuitOpen), Thousands(c.BulkheadFull), Thousands(c.MostConcurrent), minuteText(c.FullestMinute), printable(c.Cluster))
	}
	_ = table.Flush()
	for i := range p.Clusters {
		printCluster(w, &p.Clusters[i])
	}
	printTransitions(w, p.Transitions)
}

// minuteText is 12:31, 4,200 requests, of which 17 were refused: "4,200 (17 refused) 12:31".
func minuteText(m Minute) string {
	if m.Requests == 0 {
		return "-"
	}
	return fmt.Sprintf("%s (%s refused) at %s", Thousands(m.Requests), Thousands(m.Refused), m.At.Format("01-02 15:04"))
}

func printCluster(w io.Writer, c *ClusterReport) {
	if k := c.Keys; k != nil {
		fmt.Fprintf(w, "\n%s, by %s: %s keys, %s of them refused\n", printable(c.Cluster), k.By, Thousands(k.Keys), Thousands(k.Refused))
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "requests\trate_limited\twould need\t  key")
		for _, key := range k.Most {
			fmt.Fprintf(table, "%s\t%s\t%s\t  %s\n", Thousands(key.Requests), Thousands(key.RateLimited), Thousands(key.Need), printable(key.Key))
		}
		_ = table.Flush()
	}
	for i, s := range c.Suggestions {
		if i == 0 && c.Keys == nil {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s: suggested %s: %s, now %s (%s)\n", printable(c.Cluster), s.Path, number(s.Value), number(s.Now), s.Why)
	}
}

func printTransitions(w io.Writer, all []Transition) {
	if len(all) == 0 {
		return
	}
	opened := 0
	for _, t := range all {
		if t.To == "open" {
			opened++
		}
	}
	fmt.Fprintf(w, "\ntimes that a breaker opened: %s\n", Thousands(opened))
	for _, t := range all[:min(len(all), mostTransitions)] {
		fmt.Fprintf(w, "  %s  %s %s (%s)\n", t.At.Format(moment), printable(t.Cluster), t.To, printable(t.Cause))
	}
	if len(all) > mostTransitions {
		fmt.Fprintf(w, "  and %s more, which --json lists\n", Thousands(len(all)-mostTransitions))
	}
}

func printDifferences(w io.Writer, r *Report) {
	first, second := r.Policies[0].File, r.Policies[1].File
	fmt.Fprintf(w, "\nwhat %s, the first, and %s, the second, refuse\n", first, second)
	if len(r.Differences) == 0 {
		fmt.Fprintln(w, "  both admit all")
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "only the first\tonly the second\tboth\t  cluster")
	for _, d := range r.Differences {
		both := Thousands(d.Both)
		if d.OtherReason > 0 {
			both += fmt.Sprintf(" (%s for another reason)", Thousands(d.OtherReason))
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t  %s\n", Thousands(d.OnlyFirst), Thousands(d.OnlySecond), both, printable(d.Cluster))
	}
	_ = table.Flush()
}

// longestText bounds what is printed of a text of a log; --json has all of it.
const longestText = 120

// printable is text of a log without what would steer a terminal.
func printable(s string) string {
	if len(s) > longestText {
		s = s[:longestText] + "…"
	}
	quoted := strconv.Quote(s)
	if quoted == `"`+s+`"` {
		return s
	}
	return quoted
}

// Thousands is 1234567 as 1,234,567.
func Thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// Since is a duration for people: 12 s, 3 min.
func Since(d time.Duration) string {
	if d >= 2*time.Minute {
		return fmt.Sprintf("%d min", int(d.Minutes()+0.5))
	}
	return fmt.Sprintf("%d s", int(d.Seconds()+0.5))
}
