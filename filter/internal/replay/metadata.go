package replay

import (
	"bytes"
	"encoding/binary"

	"github.com/weir-mesh/weir/policy/heapsort"
)

// What filters have noted about a request is the message envoy.config.core.v3.Metadata. Envoy packs its maps in any order,
// so two are compared with their fields sorted:
//
//	Metadata  1: name → Struct   2: name → Any
//	Struct    1: name → Value
//	Value     5: Struct   6: ListValue, whose order counts   others: plain

// shape is what a message is.
type shape uint8

const (
	plain shape = iota // no message, or one that is compared byte by byte
	metadata
	structs // an entry of a map whose values are Structs
	structure
	values // an entry of a map whose values are Values
	value
	list
)

// inner is the shape of a message's field.
func (s shape) inner(field uint64) shape {
	switch {
	case s == metadata && field == 1:
		return structs
	case s == structs && field == 2:
		return structure
	case s == structure && field == 1:
		return values
	case s == values && field == 2, s == list && field == 1:
		return value
	case s == value && field == 5:
		return structure
	case s == value && field == 6:
		return list
	default:
		return plain
	}
}

const deepest = 100 // as protobuf's own limit

// CanonicalMetadata is a Metadata message with the entries of its maps sorted. ok is false for what is no such message.
func CanonicalMetadata(b []byte) (sorted []byte, ok bool) { return canonical(b, metadata, 0) }

func canonical(b []byte, s shape, depth int) (sorted []byte, ok bool) {
	var fields [][]byte
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || depth > deepest {
			return nil, false
		}
		size := 0 // of the field without its tag
		switch tag & 7 {
		case 0:
			_, size = binary.Uvarint(b[n:])
		case 1:
			size = 8
		case 5:
			size = 4
		case 2:
			length, m := binary.Uvarint(b[n:])
			if m <= 0 || length > uint64(len(b)-n-m) {
				return nil, false
			}
			size = m + int(length)
			if inner := s.inner(tag >> 3); inner != plain {
				message, ok := canonical(b[n+m:n+size], inner, depth+1)
				if !ok {
					return nil, false
				}
				field := binary.AppendUvarint(binary.AppendUvarint(nil, tag), uint64(len(message)))
				fields = append(fields, append(field, message...))
				b = b[n+size:]
				continue
			}
		}
		if size <= 0 || size > len(b)-n {
			return nil, false
		}
		fields = append(fields, b[:n+size])
		b = b[n+size:]
	}
	if s != list {
		heapsort.Sort(len(fields), func(i, j int) bool { return bytes.Compare(fields[i], fields[j]) < 0 },
			func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	}
	return bytes.Join(fields, nil), true
}
