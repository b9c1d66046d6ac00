package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// What a document may be at most. A configuration that a person or a tool wrote for a proxy stays far below.
const (
	maxBytes = 1 << 20 // the document, and the values of its variables
	maxDepth = 32      // objects and lists within each other, default_data's body included
	maxList  = 100     // items of a list
	maxName  = 256     // bytes of a name: a cluster's, a header's, a variable's
)

var errNotUTF8 = errors.New("not UTF-8")

func errTooDeep(at *place) error {
	return &Mistakes{[]Mistake{{at.String(), fmt.Sprintf("stands within more than %d objects and lists", maxDepth)}}}
}

// Decode reads a document as it reaches the filter as plugin configuration: a StringValue's JSON text, or the
// bytes of a google.protobuf.Struct. getenv answers the variables of ${NAME}; it has the shape of os.LookupEnv.
// Keys that are not written have their defaults. The error is a *Mistakes with all mistakes at once.
func Decode(raw []byte, getenv func(string) (string, bool)) (*Document, error) {
	d := &decoder{getenv: getenv}
	root, err := d.read(raw)
	if err != nil {
		var mistakes *Mistakes
		if errors.As(err, &mistakes) {
			return nil, mistakes
		}
		return nil, &Mistakes{[]Mistake{{Text: err.Error()}}}
	}
	d.substitute(nil, &root)
	doc := d.document(&root)
	if err := asError(d.mistakes); err != nil {
		return nil, err
	}
	return doc, nil
}

// decoder holds what one call of Decode gathers.
type decoder struct {
	getenv           func(string) (string, bool)
	mistakes         []Mistake
	count            int // of mistakes, those that were too many to keep included
	substitutedBytes int
	describe         func(key) // nil but where the reference table is checked: hears of each key that is asked for
}

// mistake notes that something is wrong at path.
func (d *decoder) mistake(path, format string, args ...any) {
	const most = 10_000 // with long paths, the mistakes of a document of a MiB would else take a GiB
	if d.count++; d.count > most {
		return
	}
	d.mistakes = append(d.mistakes, Mistake{Path: path, Text: fmt.Sprintf(format, args...)})
}

// read finds out which of the two forms raw has. A Struct starts with 0x0a, which in JSON is a line feed; but each
// of its entries has a 0x12 too, which JSON allows nowhere.
func (d *decoder) read(raw []byte) (value, error) {
	switch {
	case len(raw) > maxBytes:
		return value{}, fmt.Errorf("must have at most %d bytes, got %d", maxBytes, len(raw))
	case len(bytes.Trim(raw, " \t\r\n")) == 0:
		return value{kind: object}, nil // no configuration, or a Struct without fields: the same bytes
	case raw[0] == 0x0a && bytes.IndexByte(raw, 0x12) > 0 && !json.Valid(raw):
		return d.readStruct(raw)
	case !utf8.Valid(raw):
		return value{}, errNotUTF8
	}
	return d.readJSON(raw)
}
