package policy

import (
	"errors"
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of google/protobuf/struct.proto.
const (
	structFields protowire.Number = 1
	entryKey     protowire.Number = 1
	entryValue   protowire.Number = 2
	valueNull    protowire.Number = 1
	valueNumber  protowire.Number = 2
	valueString  protowire.Number = 3
	valueBool    protowire.Number = 4
	valueStruct  protowire.Number = 5
	valueList    protowire.Number = 6
	listValues   protowire.Number = 1
)

var errNotStruct = errors.New("must be JSON or the bytes of a google.protobuf.Struct, got neither")

// readStruct reads the wire bytes of a google.protobuf.Struct, without reflection: that would add the whole protobuf
// runtime to every proxy. A Struct's entries have no order, so they are sorted by name.
func (d *decoder) readStruct(raw []byte) (value, error) {
	return d.structObject(raw, nil, 1)
}

func (d *decoder) structObject(raw []byte, at *place, depth int) (value, error) {
	v := value{kind: object}
	seen := map[string]bool{}
	err := eachField(raw, func(f field) error {
		if f.number != structFields || f.kind != protowire.BytesType {
			return errNotStruct
		}
		var name string
		var content []byte
		if err := eachField(f.bytes, func(f field) error {
			switch {
			case f.number == entryKey && f.kind == protowire.BytesType:
				name = string(f.bytes)
			case f.number == entryValue && f.kind == protowire.BytesType:
				content = f.bytes
			default:
				return errNotStruct
			}
			return nil
		}); err != nil {
			return err
		}
		if !utf8.ValidString(name) {
			return errNotUTF8
		}
		below := at.member(name)
		inner, err := d.structValue(content, below, depth)
		if err != nil {
			return err
		}
		if seen[name] {
			d.mistake(below.String(), errWrittenTwice)
			return nil
		}
		seen[name] = true
		v.members = append(v.members, member{name, inner})
		return nil
	})
	sortMembers(v.members)
	return v, err
}

// structValue reads a google.protobuf.Value; one without a kind is null.
func (d *decoder) structValue(raw []byte, at *place, depth int) (value, error) {
	var v value
	err := eachField(raw, func(f field) error {
		var err error
		switch {
		case f.number == valueNull && f.kind == protowire.VarintType:
			v = value{}
		case f.number == valueNumber && f.kind == protowire.Fixed64Type:
			n := math.Float64frombits(f.bits)
			if math.IsNaN(n) || math.IsInf(n, 0) {
				d.mistake(at.String(), "must be a finite number, got %g", n)
				v = value{broken: true}
				return nil
			}
			v = value{kind: number, number: n, text: numberText(n)}
		case f.number == valueString && f.kind == protowire.BytesType:
			if !utf8.Valid(f.bytes) {
				return errNotUTF8
			}
			v = value{kind: text, text: string(f.bytes)}
			v.unquoted = looksFractional(v.text)
		case f.number == valueBool && f.kind == protowire.VarintType:
			v = value{kind: boolean, truth: f.bits != 0}
		case f.number == valueStruct && f.kind == protowire.BytesType:
			if depth == maxDepth {
				return errTooDeep(at)
			}
			v, err = d.structObject(f.bytes, at, depth+1)
		case f.number == valueList && f.kind == protowire.BytesType:
			if depth == maxDepth {
				return errTooDeep(at)
			}
			v, err = d.structList(f.bytes, at, depth+1)
		default:
			return errNotStruct
		}
		return err
	})
	return v, err
}

func (d *decoder) structList(raw []byte, at *place, depth int) (value, error) {
	v := value{kind: list}
	err := eachField(raw, func(f field) error {
		if f.number != listValues || f.kind != protowire.BytesType {
			return errNotStruct
		}
		item, err := d.structValue(f.bytes, at.item(len(v.items)), depth)
		v.items = append(v.items, item)
		return err
	})
	return v, err
}

// field is one field of a message: bits of a varint or a fixed64, bytes of a length-delimited field.
type field struct {
	number protowire.Number
	kind   protowire.Type
	bits   uint64
	bytes  []byte
}

// eachField calls do for each field of a message, in their order on the wire.
func eachField(raw []byte, do func(field) error) error {
	for len(raw) > 0 {
		id, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return errNotStruct
		}
		raw = raw[n:]
		f := field{number: id, kind: kind}
		switch kind {
		case protowire.VarintType:
			f.bits, n = protowire.ConsumeVarint(raw)
		case protowire.Fixed64Type:
			f.bits, n = protowire.ConsumeFixed64(raw)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(raw)
		default:
			return errNotStruct
		}
		if n < 0 {
			return errNotStruct
		}
		raw = raw[n:]
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}
