package policy

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"

	"github.com/weir-mesh/weir/policy/jsontext"
)

// The bounds of a document. A configuration that a person or a tool writes for a proxy stays far below.
const (
	maxBytes = 1 << 20 // of the document, and of the values of its variables
	maxDepth = 32      // nested objects and lists, default_data's body included
	maxList  = 100     // items of a list
	maxName  = 256     // bytes of a name: a cluster's, a header's, a variable's; of a path
)

// errWrittenTwice is the mistake about a key of an object that has it already.
const errWrittenTwice = "is written twice, remove one"

var errNotUTF8 = errors.New("must be UTF-8")

func errTooDeep(at *place) error {
	return &Mistakes{List: []Mistake{{at.String(), "must not be nested in more than " + strconv.Itoa(maxDepth) + " objects and lists"}}}
}

// Decode reads a document as the filter gets it, as plugin configuration: a StringValue's JSON text, or the bytes of a
// google.protobuf.Struct. getenv looks up the variables of ${NAME}, as os.LookupEnv does. Keys that are not written
// have their defaults. The error is a *Mistakes with all mistakes at once.
func Decode(raw []byte, getenv func(string) (string, bool)) (*Document, error) {
	d := &decoder{getenv: getenv}
	root, err := d.read(raw)
	if err != nil {
		if mistakes, ok := errors.AsType[*Mistakes](err); ok {
			return nil, mistakes
		}
		return nil, &Mistakes{List: []Mistake{{Text: err.Error()}}}
	}
	hash := root.hash() + d.clustersHash
	d.substitute(&root)
	doc := d.document(&root)
	doc.Hash = hash
	if err := asError(d.mistakes, hash); err != nil {
		return nil, err
	}
	return doc, nil
}

// decoder is the state of one call of Decode.
type decoder struct {
	getenv           func(string) (string, bool)
	at               place     // while it reads, and while it substitutes
	clusters         []Cluster // decoded so far, in the order of the document
	clustersHash     uint64    // of their values, which root does not have any more
	mistakes         []Mistake
	count            int // of mistakes, including those beyond maxMistakes
	substitutedBytes int
	describe         func(Key) // called with each key that is read; only Keys sets it
}

// maxMistakes bounds the list: with long paths, the mistakes of a document of 1 MiB could take 1 GiB.
const maxMistakes = 10_000

// mistake notes that something is wrong at path.
func (d *decoder) mistake(path, what string) {
	if d.count++; d.count > maxMistakes {
		return
	}
	d.mistakes = append(d.mistakes, Mistake{Path: path, Text: what})
}

// read detects the form of raw and reads it. A Struct starts with 0x0a, which is a line feed in JSON; but each of its
// entries has a 0x12 too, which JSON never has.
func (d *decoder) read(raw []byte) (value, error) {
	switch {
	case len(raw) > maxBytes:
		return value{}, errors.New("must have at most " + strconv.Itoa(maxBytes) + " bytes, got " + strconv.Itoa(len(raw)))
	case len(bytes.Trim(raw, " \t\r\n")) == 0:
		return value{kind: object}, nil // no configuration, or a Struct without fields: the same bytes
	case raw[0] == 0x0a && bytes.IndexByte(raw, 0x12) > 0 && jsontext.Check(raw) != nil:
		return d.readStruct(raw)
	case !utf8.Valid(raw):
		return value{}, errNotUTF8
	}
	return d.readJSON(raw)
}
