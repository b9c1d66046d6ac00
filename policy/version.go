package policy

import "math"

// The version of a document is a hash of what is written in it, before ${NAME} is replaced: the same for JSON and for a Struct,
// in any order of an object's keys, in every proxy. Envoy writes a Struct's entries in another order at each parse.
//
//	text, number, boolean  hash of the kind and of its bytes
//	list                   hash of its items' hashes, in their order
//	object                 hash of the sum of its members' hashes, since addition has no order
//
// The hash is FNV-1a with 64 bits. Documents come from an operator, so that nobody looks for two with the same hash.

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// hash continues a hash with a number.
func hash(h, n uint64) uint64 {
	for range 8 {
		h = (h ^ n&0xff) * fnvPrime
		n >>= 8
	}
	return h
}

func hashText(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return hash(h, uint64(len(s)))
}

// hash is the hash of a value as it is written.
func (v *value) hash() uint64 {
	h := hash(fnvOffset, uint64(v.kind))
	switch v.kind {
	case boolean:
		if v.truth {
			h = hash(h, 1)
		}
	case number:
		h = hash(h, math.Float64bits(v.number))
	case text:
		h = hashText(h, v.text)
	case list:
		for i := range v.items {
			h = hash(h, v.items[i].hash())
		}
	case object:
		var sum uint64
		for i := range v.members {
			sum += hash(hashText(fnvOffset, v.members[i].name), v.members[i].value.hash())
		}
		h = hash(h, sum)
	}
	return h
}

// Version is the version as operators see it, a number of 32 bits that is never 0.
func (doc *Document) Version() uint32 { return Version(doc.Hash) }

// Version is the version of a document with this hash.
func Version(hash uint64) uint32 { return max(uint32(hash>>32), 1) }
