package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/weir-mesh/weir/filter/adminapi"
)

// Member is one Envoy of a fleet: what its admin listener answered, or why it did not.
type Member struct {
	At     string // the listener's address
	Status *adminapi.Status
	Err    error
}

// Fleet prints one table of the clusters of all Envoys, in the order of sort. Cluster: only those of this
// name; "" for all. Lines above it say what concerns an Envoy as a whole.
func (p Printer) Fleet(members []Member, cluster string) {
	var rows []row
	var latest time.Time
	nodes := map[string]string{} // their ids, by the address
	for _, m := range members {
		if m.Status == nil {
			continue
		}
		if e := m.Status.Envoy; e != nil {
			nodes[m.At] = e.Node
		}
		now := m.Status.Time.Time()
		if now.After(latest) {
			latest = now
		}
		for name, c := range m.Status.Clusters {
			if cluster == "" || name == cluster {
				rows = append(rows, p.rowOf(m.At, name, &c, now))
			}
		}
	}
	p.sort(rows)
	fmt.Fprintf(p.Out, "%s at %s: %s\n", p.paint(bold, fmt.Sprintf("%d Envoys", len(members))), latest.Format(time.RFC3339), summary(rows))
	p.policies(members)
	for _, m := range members {
		if text := trouble(m); text != "" {
			fmt.Fprintln(p.Out, p.paint(red, Printable(m.At+": "+text)))
		}
	}
	if len(rows) > 0 {
		fmt.Fprintln(p.Out)
		p.table(slices.Insert(slices.Clone(columns), 1, column{"ENVOY", false, func(r row) string {
			return strings.TrimRight(Printable(strings.TrimPrefix(r.at, "http://"))+" "+shortened(Printable(nodes[r.at])), " ")
		}}), rows)
	}
}

// policies says in how many Envoys each policy is in force, where they differ.
func (p Printer) policies(members []Member) {
	in := map[uint32]int{}
	for _, m := range members {
		if m.Status != nil && len(m.Status.Policies) > 0 {
			in[m.Status.Policies[0].Version]++ // the one that came last
		}
	}
	if len(in) < 2 {
		for version := range in {
			fmt.Fprintf(p.Out, "Policy %d in force\n", version)
		}
		return
	}
	versions := slices.SortedFunc(maps.Keys(in), func(a, b uint32) int { return cmp.Or(cmp.Compare(in[b], in[a]), cmp.Compare(a, b)) })
	texts := make([]string, len(versions))
	for i, version := range versions {
		texts[i] = fmt.Sprintf("%d in %d", version, in[version])
	}
	fmt.Fprintln(p.Out, p.paint(yellow, "The Envoys have different policies in force: "+strings.Join(texts, ", ")))
}

// trouble is what concerns an Envoy as a whole; "" for none.
func trouble(m Member) string {
	if m.Err != nil {
		return strings.TrimPrefix(m.Err.Error(), m.At+": ")
	}
	var all []string
	if r := m.Status.Refused; r != nil {
		all = append(all, fmt.Sprintf("a policy was refused at %s, and the one before stays in force: %s", r.At.Time().Format(time.RFC3339), strings.Join(r.Reasons, "; ")))
	}
	if r := m.Status.Redis; r != nil && r.State != "off" && r.State != "ok" {
		text := "Redis: " + r.State
		if e := r.LastError; e != nil {
			text += ", " + e.Name + ": " + e.Message
		}
		all = append(all, text)
	}
	if w := m.Status.Misrouted; w != nil {
		all = append(all, fmt.Sprintf("%s seen requests went to %s, decided by the policy of %s", number(w.Total), w.To, w.Cluster))
	}
	if m := m.Status.Missing; m != nil {
		all = append(all, fmt.Sprintf("%s requests to %s got the cluster's own policy, since the policy %s that their route or the cluster names is not there", number(m.Total), m.Cluster, m.Policy))
	}
	return strings.Join(all, "; ")
}
