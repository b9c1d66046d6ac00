package command

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/weir-mesh/weir/envoy/internal/check"
	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/policy"
)

// standardInput is the file name that means standard input.
const standardInput = "-"

// lookup returns the value for `${NAME}`, like os.LookupEnv.
type lookup func(name string) (string, bool)

// fileFinding is one mistake or warning about one file.
type fileFinding struct {
	File string `json:"file"`
	check.Finding
}

// String is a line as compilers write it, which editors read: policy.yaml:3:5: warning: clusters.aws.retry: …
func (m fileFinding) String() string {
	text := m.File + ": "
	if m.Line > 0 {
		text = fmt.Sprintf("%s:%d:%d: ", m.File, m.Line, m.Column)
	}
	if m.Severity == check.Warning {
		text += "warning: "
	}
	if m.Path != "" {
		text += m.Path + ": "
	}
	return text + m.Text
}

// fileMistakes is the error for all mistakes in all files.
type fileMistakes []fileFinding

func (f fileMistakes) Error() string {
	return fmt.Sprintf("%d mistakes", len(f))
}

func (f fileMistakes) lines() []string {
	lines := make([]string, len(f))
	for i, m := range f {
		lines[i] = m.String()
	}
	return lines
}

// readPolicy reads and checks a policy file, after a change of what was written. It returns the document and its JSON,
// and writes warnings; the error is fileMistakes.
func readPolicy(file string, streams Streams, getenv lookup, change func(json []byte) []byte) (*policy.Document, []byte, error) {
	whole := func(err error) error { return wholeFile(file, err) }
	raw, err := readFile(file, streams.In)
	if err != nil {
		return nil, nil, whole(err)
	}
	asJSON, err := policyfile.JSON(raw)
	if err != nil {
		return nil, nil, findings(file, check.File(file, raw, check.Lookup(getenv)).Findings)
	}
	document, mistakes, warnings := check.Changed(raw, change(asJSON), check.Lookup(getenv))
	for _, w := range findings(file, warnings) {
		fmt.Fprintf(streams.Err, "weir: %s\n", w)
	}
	if len(mistakes) > 0 {
		return nil, nil, findings(file, mistakes)
	}
	return document, change(asJSON), nil
}

func findings(file string, all []check.Finding) fileMistakes {
	named := make(fileMistakes, len(all))
	for i, f := range all {
		named[i] = fileFinding{displayName(file), f}
	}
	return named
}

// wholeFile names the file in each line of an error.
func wholeFile(file string, err error) fileMistakes {
	var all []check.Finding
	for text := range strings.SplitSeq(err.Error(), "\n") {
		all = append(all, check.Finding{Severity: check.Mistake, Text: text})
	}
	return findings(file, all)
}

func readFile(file string, in io.Reader) ([]byte, error) {
	if file == standardInput {
		return io.ReadAll(in)
	}
	raw, err := os.ReadFile(file)
	var pathError *os.PathError
	if errors.As(err, &pathError) {
		return nil, pathError.Err // fileMistakes has the file's name
	}
	return raw, err
}

func displayName(file string) string {
	if file == standardInput {
		return "standard input"
	}
	return file
}
