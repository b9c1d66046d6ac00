package status

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-mesh/weir/policy"
)

// UnknownCluster is a name that Weir has no cluster of.
type UnknownCluster struct {
	At   string // the address
	Name string
	Near []string // known names, the nearest first, at most nearMost
	All  int      // how many there are
}

func (e *UnknownCluster) Error() string {
	text := e.At + ": no cluster " + Printable(e.Name)
	if e.All == 0 {
		return text + ": no policy of Weir is at work there"
	}
	var names []string
	for _, name := range e.Near {
		names = append(names, Printable(name))
	}
	text += "; there are: " + strings.Join(names, ", ")
	if more := e.All - len(e.Near); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// nearMost is how many names a message lists.
const nearMost = 8

// nearest are the known names by their distance to the one that was written; the same distance: by name.
func nearest(name string, known []string) []string {
	const longest = 128 // beyond, names are told apart by their begin
	cut := func(s string) string { return strings.ToLower(s[:min(len(s), longest)]) }
	slices.Sort(known)
	distances := make(map[string]int, len(known))
	for _, k := range known {
		distances[k] = policy.Distance(cut(name), cut(k))
	}
	slices.SortStableFunc(known, func(a, b string) int { return distances[a] - distances[b] })
	return known[:min(len(known), nearMost)]
}
