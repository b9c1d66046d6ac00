package policy

import (
	"cmp"
	"strings"
)

// For answers the policy of an upstream cluster: that of its exact name, else of the longest pattern that matches,
// else Default. Of patterns with the same number of bytes the one with fewer * wins, then the one that comes first
// in byte order. Nil means that the cluster passes untouched, which is also what mode off says.
//
// It looks at each entry; callers that ask for each request keep the answer.
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

// matches says whether the whole name fits the pattern, in which * is any run of characters, the empty one included.
func matches(pattern, name string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, head)
	if !ok {
		return false
	}
	// Between two * the first place that fits is as good as any; what follows the last * must end the name.
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
