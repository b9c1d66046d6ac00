package check

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/policy"
)

// positions are the places of a policy's values in its file, by path.
type positions struct {
	root   *policyfile.Node // nil: text that is no JSON
	values map[string]*policyfile.Node
	keys   map[string]policyfile.Member
	twice  []place          // what a later key of the same name replaces
	text   *policyfile.Node // the string in the file, if the policy is one
}

// place is a path and where it is written, and the line where it is written for the last time.
type place struct {
	path         string
	line, column int
	last         int
}

// positionsOf indexes a policy. One that is a string in the configuration is read once more for its places: those of a
// literal block are lines of the file, any other string is one place.
func positionsOf(p plugin) *positions {
	at := &positions{root: p.root, values: map[string]*policyfile.Node{}, keys: map[string]policyfile.Member{}}
	if p.form == asText && p.root.Kind == policyfile.Text {
		inner, err := policyfile.Read([]byte(p.text), policyfile.JSONText)
		at.text = p.root
		if err != nil {
			at.values[""] = p.root
			return at
		}
		shift(inner, p.root)
		at.root = inner
	}
	at.index("", at.root)
	return at
}

// shift moves the places within a string to those of the file.
func shift(n, outer *policyfile.Node) {
	line, column := outer.Line, outer.Column
	move := func(l, c int) (int, int) {
		if !outer.Block {
			return line, column
		}
		return line + l, c + outer.Indent
	}
	n.Line, n.Column = move(n.Line, n.Column)
	for _, item := range n.Items {
		shift(item, outer)
	}
	for _, members := range [][]policyfile.Member{n.Members, n.Twice} {
		for i := range members {
			members[i].Line, members[i].Column = move(members[i].Line, members[i].Column)
			shift(members[i].Value, outer)
		}
	}
}

func (at *positions) index(path string, n *policyfile.Node) {
	at.values[path] = n
	for _, m := range n.Members {
		below := policy.MemberPath(path, m.Name)
		at.keys[below] = m
		at.index(below, m.Value)
	}
	for _, m := range n.Twice {
		below := policy.MemberPath(path, m.Name)
		at.twice = append(at.twice, place{below, m.Line, m.Column, at.keys[below].Line})
	}
	for i, item := range n.Items {
		at.index(policy.IndexPath(path, i), item)
	}
}

// finding is a finding at the path: at the value if that is a scalar, at the key if it is an object or a list or the
// key itself is wrong, and where nothing is written at the nearest thing above.
func (at *positions) finding(severity Severity, path, text string) Finding {
	f := Finding{Severity: severity, Path: path, Text: text}
	for above := path; ; above = parent(above) {
		n, ok := at.values[above]
		if !ok && above != "" {
			continue
		}
		f.Line, f.Column = n.Line, n.Column
		if m := lineColumn.FindStringSubmatch(text); m != nil && path == "" && at.text != nil && at.text.Block {
			line, _ := strconv.Atoi(m[1])
			column, _ := strconv.Atoi(m[2])
			f.Line, f.Column = at.text.Line+line, at.text.Indent+column
		}
		key, isMember := at.keys[above]
		if isMember && (n.Kind >= policyfile.List || strings.HasPrefix(text, "unknown key")) {
			f.Line, f.Column = key.Line, key.Column
		}
		return f
	}
}

// lineColumn is how the decoder ends what is wrong with JSON: the place within the string.
var lineColumn = regexp.MustCompile(`at line (\d+), column (\d+)$`)

// parent cuts the last part of a path. A name in quotes may take several cuts; what is between is no path.
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
