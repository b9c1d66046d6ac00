package status

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-mesh/weir/filter/adminapi"
)

// ParseStates reads states by their names, with - or a space between words: open, no-host, half-open.
func ParseStates(names []string) (states []State, err error) {
	for _, name := range names {
		state := slices.IndexFunc(stateNames[:], func(s string) bool { return dashed(s) == dashed(name) })
		if state < 0 {
			all := make([]string, len(stateNames))
			for i, s := range stateNames {
				all[i] = dashed(s)
			}
			return nil, fmt.Errorf("no state is called %q: write %s", name, strings.Join(all, ", "))
		}
		states = append(states, State(state))
	}
	return states, nil
}

func dashed(name string) string { return strings.ReplaceAll(strings.TrimSpace(name), " ", "-") }

// In are the clusters of an Envoy whose verdict is one of the states, each as "CLUSTER is STATE", in the order of their names.
func (r *Recent) In(states []State, at string, clusters map[string]adminapi.Cluster, now time.Time) (found []string) {
	for name, c := range clusters {
		if v := r.Judge(at, name, &c, now); slices.Contains(states, v.State) {
			found = append(found, Printable(name)+" is "+v.State.String())
		}
	}
	slices.Sort(found)
	return found
}
