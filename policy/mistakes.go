package policy

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/policy/heapsort"
	"github.com/weir-mesh/weir/policy/spelling"
)

// Mistake is one thing that is wrong in a document.
type Mistake struct {
	Path string // "clusters.aws_pricing.rate_limit.burst_capacity"; empty: the document as a whole
	Text string // "must be at least 1, got 0"
}

// String is one line: the path and the text.
func (m Mistake) String() string {
	if m.Path == "" {
		return "document: " + m.Text
	}
	return m.Path + ": " + m.Text
}

// Mistakes is all that is wrong in a document, in the order of the paths; at most 10,000.
type Mistakes struct {
	List []Mistake
	Hash uint64 // of the document, as Document.Hash; 0: it can't be read
}

// maxLines bounds what Error writes into a proxy's log.
const maxLines = 1000

// Error has one line for each mistake; after maxLines it says how many more there are.
func (m *Mistakes) Error() string {
	var text strings.Builder
	for i, mistake := range m.List {
		if i > 0 {
			text.WriteByte('\n')
		}
		if i == maxLines {
			text.WriteString("and " + strconv.Itoa(len(m.List)-maxLines) + " more mistakes")
			break
		}
		text.WriteString(mistake.String())
	}
	return text.String()
}

// asError sorts the mistakes, so that both forms of a document give the same text. It is nil if there are none.
func asError(all []Mistake, hash uint64) error {
	if len(all) == 0 {
		return nil
	}
	heapsort.Sort(len(all), func(i, j int) bool {
		a, b := &all[i], &all[j]
		return cmp.Or(comparePaths(a.Path, b.Path), strings.Compare(a.Text, b.Text)) < 0
	}, func(i, j int) { all[i], all[j] = all[j], all[i] })
	return &Mistakes{List: slices.Compact(all), Hash: hash}
}

// suggestion ends the mistake about an unknown word: the word that was probably meant, or all that are known.
func suggestion(word string, known []string) string {
	if near, ok := spelling.Suggest(word, known); ok {
		return "did you mean `" + near + "`?"
	}
	if len(known) == 0 {
		return "remove it"
	}
	return "known are " + strings.Join(known, ", ")
}
