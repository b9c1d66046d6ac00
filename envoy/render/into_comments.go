package render

import (
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// lostComments warns of comments of a file that are not in what was written. The YAML library knows none right behind a {, and few
// between an item of a list and an empty line.
func lostComments(file, written []byte) (warnings []string) {
	there := map[string]int{}
	for _, c := range comments(written) {
		there[c.Value]++
	}
	for _, c := range comments(file) {
		// What only looks like a comment, in a text, is in the other file too.
		if there[c.Value]--; there[c.Value] < 0 && !strings.Contains(string(written), "#"+c.Value) {
			warnings = append(warnings, fmt.Sprintf("line %d: the comment #%s is lost: write it in a line of its own, right before what it is about", c.Position.Line, c.Value))
		}
	}
	return warnings
}

func comments(file []byte) (all []*token.Token) {
	for _, t := range lexer.Tokenize(string(file)) {
		if t.Type == token.CommentType {
			t.Value = strings.TrimRight(t.Value, " \r")
			all = append(all, t)
		}
	}
	return all
}
