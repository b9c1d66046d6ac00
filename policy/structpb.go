package policy

import (
	"encoding/binary"
	"errors"
	"math"
	"unicode/utf8"

	"github.com/weir-mesh/weir/policy/heapsort"
)

// The fields of google/protobuf/struct.proto.
const (
	structFields uint64 = 1
	entryKey     uint64 = 1
	entryValue   uint64 = 2
	valueNull    uint64 = 1
	valueNumber  uint64 = 2
	valueString  uint64 = 3
	valueBool    uint64 = 4
	valueStruct  uint64 = 5
	valueList    uint64 = 6
	listValues   uint64 = 1
)

var errNotStruct = errors.New("must be JSON or the bytes of a google.protobuf.Struct, got neither")

// readStruct reads the wire bytes of a google.protobuf.Struct, without reflection: that would add the whole protobuf
// runtime to every proxy.
func (d *decoder) readStruct(raw []byte) (value, error) { return d.structObject(raw, 1) }

// structObject reads the members of an object in the order of their names, since a Struct's entries have none. A key that is
// written twice is a mistake; the first one counts.
func (d *decoder) structObject(raw []byte, depth int) (value, error) {
	entries, err := structEntries(raw)
	if err != nil {
		return value{}, err
	}
	clusters := d.beginClusters()
	v := value{kind: object, members: make([]member, 0, len(entries))}
	for i := range entries {
		e := &entries[i]
		d.at.enter(e.name)
		inner, err := d.structValue(e.content, depth)
		if err != nil {
			return v, err
		}
		if i > 0 && entries[i-1].name == e.name {
			d.mistake(d.at.String(), errWrittenTwice)
		} else {
			if clusters {
				inner = d.cluster(e.name, inner)
			}
			v.members = append(v.members, member{e.name, inner})
		}
		d.at.leave()
	}
	return v, nil
}

// entry is one of a Struct's map.
type entry struct {
	name    string
	content []byte // of its google.protobuf.Value
	place   int    // among the entries
}

// structEntries are the entries of a Struct in the order of their names; where a name is there twice, in that of the bytes.
func structEntries(raw []byte) ([]entry, error) {
	n, err := count(raw)
	if err != nil {
		return nil, err
	}
	entries := make([]entry, 0, n)
	for len(raw) > 0 {
		var f field
		if f, raw, err = next(raw); err != nil {
			return nil, err
		}
		if f.number != structFields || f.kind != lengthDelimited {
			return nil, errNotStruct
		}
		name, content, err := structEntry(f.bytes)
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{name, content, len(entries)})
	}
	heapsort.Sort(len(entries), func(i, j int) bool {
		a, b := &entries[i], &entries[j]
		return a.name < b.name || a.name == b.name && a.place < b.place
	}, func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	return entries, nil
}

// structEntry reads an entry of a Struct's map.
func structEntry(raw []byte) (name string, content []byte, err error) {
	for len(raw) > 0 {
		var f field
		if f, raw, err = next(raw); err != nil {
			return "", nil, err
		}
		switch {
		case f.number == entryKey && f.kind == lengthDelimited:
			if !utf8.Valid(f.bytes) {
				return "", nil, errNotUTF8
			}
			name = string(f.bytes)
		case f.number == entryValue && f.kind == lengthDelimited:
			content = f.bytes
		default:
			return "", nil, errNotStruct
		}
	}
	return name, content, nil
}

// structValue reads a google.protobuf.Value; one without a kind is null.
func (d *decoder) structValue(raw []byte, depth int) (v value, err error) {
	for len(raw) > 0 && err == nil {
		var f field
		if f, raw, err = next(raw); err != nil {
			break
		}
		switch {
		case f.number == valueNull && f.kind == varint:
			v = value{}
		case f.number == valueNumber && f.kind == fixed64:
			n := math.Float64frombits(f.bits)
			if math.IsNaN(n) || math.IsInf(n, 0) {
				d.mistake(d.at.String(), "must be a finite number, got "+numberText(n))
				v = value{broken: true}
				continue
			}
			v = value{kind: number, number: n, text: numberText(n)}
		case f.number == valueString && f.kind == lengthDelimited:
			if !utf8.Valid(f.bytes) {
				return v, errNotUTF8
			}
			v = value{kind: text, text: string(f.bytes)}
			v.unquoted = looksFractional(v.text)
		case f.number == valueBool && f.kind == varint:
			v = value{kind: boolean, truth: f.bits != 0}
		case (f.number == valueStruct || f.number == valueList) && f.kind == lengthDelimited:
			switch {
			case depth == maxDepth:
				return v, errTooDeep(&d.at)
			case f.number == valueStruct:
				v, err = d.structObject(f.bytes, depth+1)
			default:
				v, err = d.structList(f.bytes, depth+1)
			}
		default:
			return v, errNotStruct
		}
	}
	return v, err
}

func (d *decoder) structList(raw []byte, depth int) (value, error) {
	n, err := count(raw)
	if err != nil {
		return value{}, err
	}
	v := value{kind: list, items: make([]value, 0, n)}
	for len(raw) > 0 {
		var f field
		if f, raw, err = next(raw); err != nil {
			return v, err
		}
		if f.number != listValues || f.kind != lengthDelimited {
			return v, errNotStruct
		}
		d.at.enterItem(len(v.items))
		item, err := d.structValue(f.bytes, depth)
		if err != nil {
			return v, err
		}
		d.at.leave()
		v.items = append(v.items, item)
	}
	return v, nil
}

// The wire types that google.protobuf.Struct has. They are read here, not by package protowire, which brings fmt and reflection
// into the module: 17 KB.
const (
	varint          = 0
	fixed64         = 1
	lengthDelimited = 2
)

// field is one field of a message: bits of a varint or a fixed64, bytes of a length-delimited field.
type field struct {
	number uint64
	kind   uint64
	bits   uint64
	bytes  []byte
}

// next reads the first field of a message.
func next(raw []byte) (f field, rest []byte, err error) {
	tag, n := binary.Uvarint(raw)
	f = field{number: tag >> 3, kind: tag & 7}
	if n <= 0 || f.number == 0 {
		return f, nil, errNotStruct
	}
	raw = raw[n:]
	switch f.kind {
	case varint:
		f.bits, n = binary.Uvarint(raw)
	case fixed64:
		if n = 8; len(raw) < n {
			return f, nil, errNotStruct
		}
		f.bits = binary.LittleEndian.Uint64(raw)
	case lengthDelimited:
		var size uint64
		if size, n = binary.Uvarint(raw); n > 0 {
			raw = raw[n:]
			if size > uint64(len(raw)) {
				return f, nil, errNotStruct
			}
			f.bytes, n = raw[:size], int(size)
			return f, raw[n:], nil
		}
	default:
		return f, nil, errNotStruct
	}
	if n <= 0 {
		return f, nil, errNotStruct
	}
	return f, raw[n:], nil
}

// count is how many fields a message has.
func count(raw []byte) (n int, err error) {
	for len(raw) > 0 {
		if _, raw, err = next(raw); err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}
