package status

import (
	"fmt"
	"strings"
)

// UnknownCluster is the error for a name that is not a cluster's.
type UnknownCluster struct {
	At   string // the admin listener's address
	Name string
	Near []string // known names, the nearest first, at most nearMost
	All  int      // how many known names there are
}

func (e *UnknownCluster) Error() string {
	text := e.At + ": no cluster " + Printable(e.Name)
	if e.All == 0 {
		return text + ": no cluster there has a policy"
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
