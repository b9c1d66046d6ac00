package policy

import (
	"cmp"
	"strings"
)

// For returns the policy of an upstream cluster: that of its exact name, else of the longest pattern that matches, else
// Default. Of patterns with the same number of bytes the one with fewer * wins, then the one that is first in byte
// order. Nil means that nothing is enforced for the cluster, as with mode off.
//
// It takes time proportional to the number of entries: callers that need the policy for each request keep it.
func (doc *Document) For(cluster string) *Policy {
	chosen, best := doc.Default, ""
	for _, c := range doc.Clusters {
		if c.Pattern == cluster {
			chosen = c.Policy
			break
		}
		if matches(c.Pattern, cluster) && (best == "" || precedence(c.Pattern, best) < 0) {
			chosen, best = c.Policy, c.Pattern
		}
	}
	if chosen != nil && chosen.Mode == ModeOff {
		return nil
	}
	return chosen
}

// precedence is negative where pattern a beats pattern b.
func precedence(a, b string) int {
	return cmp.Or(
		cmp.Compare(len(b), len(a)),
		cmp.Compare(strings.Count(a, "*"), strings.Count(b, "*")),
		strings.Compare(a, b),
	)
}

// matches reports whether the whole name fits the pattern, in which * is any run of characters, also an empty one.
func matches(pattern, name string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, head)
	if !ok {
		return false
	}
	// Between two * the first match is as good as any later one; what follows the last * must end the name.
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], after
	}
}
