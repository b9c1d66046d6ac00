// Package key reads the identity that a limit counts a request by.
//
//	key: [{header: x-api-key}, client_ip]
//	     │ 1 │ len │ K1 │ 1 │ len │ 192.0.2.1 │  ── SipHash-128 ──► Fingerprint
//
// Each part is written with a mark (1: the request has it) and its length, so that ("ab", "c") and ("a", "bc"), or an
// empty value and none, are different keys.
//
// A part is ambiguous where upstream could read another value than Weir does: two x-api-key lines, or x_api_key beside
// x-api-key. Otherwise a client whose limit is used up could send a new first value with each request, while upstream
// takes the second. All requests of a cluster with an ambiguous part share one fingerprint:
//
//	x-api-key: junk1   x-api-key: K     │ 2 │  ── SipHash-128 ──► Fingerprint, of no other request
package key

import (
	"encoding/binary"

	"github.com/dchest/siphash"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate"
)

// The first byte of what is hashed. After ambiguousMark comes nothing, after the others always a length.
const (
	absentMark = iota
	foundMark
	ambiguousMark
)

// Hasher makes the fingerprints of one limit's keys. One goroutine uses it at a time.
type Hasher struct {
	parts     []policy.KeyPart
	seed      [2]uint64
	ambiguous sharedstate.Fingerprint // of all requests with an ambiguous part
	reader    reader

	wasAmbiguous bool // the key of the last fingerprint
}

// NewHasher hashes these parts of a request under a seed. No parts: the limit is not counted by key.
func NewHasher(parts []policy.KeyPart, seed [2]uint64) *Hasher {
	h := &Hasher{parts: parts, seed: seed}
	h.ambiguous = h.hash([]byte{ambiguousMark})
	h.reader.visit = h.reader.header
	return h
}

// ByClientIP reports whether a part of the key is client_ip, which costs a host call.
func (h *Hasher) ByClientIP() bool {
	for i := range h.parts {
		if h.parts[i].Kind == policy.KeyClientIP {
			return true
		}
	}
	return false
}

// Fingerprint is a request's identity. The hash costs 1 ns a byte; Envoy bounds a request's headers (60 KB by default).
func (h *Hasher) Fingerprint(headers header.Headers, clientIP string) sharedstate.Fingerprint {
	r := &h.reader
	r.b, h.wasAmbiguous = r.b[:0], false
	for i := range h.parts {
		start := len(r.b)
		r.b = append(r.b, absentMark, 0, 0, 0, 0)
		switch r.read(&h.parts[i], headers, clientIP) {
		case ambiguous:
			h.wasAmbiguous = true
			return h.ambiguous
		case found:
			r.b[start] = foundMark
		case absent:
		}
		binary.LittleEndian.PutUint32(r.b[start+1:], uint32(len(r.b)-start-5))
	}
	return h.hash(r.b)
}

func (h *Hasher) hash(b []byte) sharedstate.Fingerprint {
	hi, lo := siphash.Hash128(h.seed[0], h.seed[1], b)
	if hi == 0 && lo == 0 { // zeros mark a free way of a set
		lo = 1
	}
	return sharedstate.Fingerprint{Hi: hi, Lo: lo}
}
