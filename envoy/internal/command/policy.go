package command

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/policy"
)

// standardInput is the file name that means standard input.
const standardInput = "-"

// lookup returns the value for `${NAME}`, like os.LookupEnv.
type lookup func(name string) (string, bool)

// fileMistake is one mistake of one file.
type fileMistake struct {
	File string `json:"file"`
	Path string `json:"path"` // "" for the file as a whole
	Text string `json:"text"`
}

func (m fileMistake) String() string {
	if m.Path == "" {
		return m.File + ": " + m.Text
	}
	return m.File + ": " + m.Path + ": " + m.Text
}

// fileMistakes is the error for all mistakes in all files.
type fileMistakes []fileMistake

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

// readPolicy reads and checks a policy file, after a change of what was written. It returns the document and its JSON;
// the error is fileMistakes.
func readPolicy(file string, in io.Reader, getenv lookup, change func(json []byte) []byte) (*policy.Document, []byte, error) {
	whole := func(err error) error { return fileMistakes{{File: displayName(file), Text: err.Error()}} }
	raw, err := readFile(file, in)
	if err != nil {
		return nil, nil, whole(err)
	}
	asJSON, err := policyfile.JSON(raw)
	if err != nil {
		return nil, nil, whole(err)
	}
	asJSON = change(asJSON)
	document, err := policy.Decode(asJSON, getenv)
	if err == nil {
		return document, asJSON, nil
	}
	var mistakes *policy.Mistakes
	if !errors.As(err, &mistakes) {
		return nil, nil, whole(err)
	}
	var all fileMistakes
	for _, m := range mistakes.List {
		all = append(all, fileMistake{File: displayName(file), Path: m.Path, Text: m.Text})
	}
	return nil, nil, all
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
