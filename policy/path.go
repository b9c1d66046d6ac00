package policy

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/policy/ascii"
	"github.com/weir-mesh/weir/policy/visible"
)

// memberPath is the path of an object's member. A name that would make the path ambiguous is quoted:
// clusters["outbound|80||prices.example"].rate_limit.
func memberPath(path, name string) string {
	if !plainName(name) {
		return path + "[" + quote(name) + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// indexPath is the path of a list's item: methods[0].
func indexPath(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

// place is where the decoder is in the document. It is formatted only if there is a mistake: a document has many values and
// mostly no mistakes. The zero place is the document itself.
type place struct{ steps []step }

// step is a member, or an item.
type step struct {
	name  string
	index int // of an item; -1 for a member
}

func (p *place) enter(member string) { p.steps = append(p.steps, step{member, -1}) }

func (p *place) enterItem(i int) { p.steps = append(p.steps, step{"", i}) }

func (p *place) leave() { p.steps = p.steps[:len(p.steps)-1] }

// String is the place's path.
func (p *place) String() string {
	path := ""
	for _, s := range p.steps {
		if s.index >= 0 {
			path = indexPath(path, s.index)
		} else {
			path = memberPath(path, s.name)
		}
	}
	return path
}

func plainName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if !isLetterOrDigit(c) && c != '_' && c != '-' && c != '*' {
			return false
		}
	}
	return true
}

func isLetterOrDigit(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// quote puts s in quotes for a message, shortened where it is long.
func quote(s string) string {
	if len(s) > maxName {
		cut := 0
		for i := range s { // at the start of a character
			if i > maxName {
				break
			}
			cut = i
		}
		return visible.Quote(s[:cut] + "…")
	}
	return visible.Quote(s)
}

// comparePaths orders paths as a reader expects: on[2] before on[10].
func comparePaths(a, b string) int {
	for a != "" && b != "" {
		x, y := leadingDigits(a), leadingDigits(b)
		if x > 0 && y > 0 {
			m, n := ascii.TrimLeft(a[:x], "0"), ascii.TrimLeft(b[:y], "0")
			if c := cmp.Or(cmp.Compare(len(m), len(n)), strings.Compare(m, n), cmp.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[x:], b[y:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func leadingDigits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}

// MemberPath is the path of an object's member, as mistakes have it.
func MemberPath(path, name string) string { return memberPath(path, name) }

// IndexPath is the path of a list's item, as mistakes have it.
func IndexPath(path string, i int) string { return indexPath(path, i) }
