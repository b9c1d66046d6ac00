// Package key reads the identity that a limit counts a request by.
//
//	key: [{header: x-api-key}, client_ip]
//	     │ 1 │ len │ K1 │ 1 │ len │ 192.0.2.1 │  ── SipHash-128 ──► Fingerprint
//
// Each part is written with a mark (1: the request has it) and its length, so that ("ab", "c") and ("a", "bc"), or an
// empty value and none, are different keys.
package key

import (
	"encoding/binary"
	"strings"

	"github.com/dchest/siphash"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate"
)

// Hasher makes the fingerprints of one limit's keys. One goroutine uses it at a time.
type Hasher struct {
	parts []policy.KeyPart
	seed  [2]uint64
	buf   []byte
}

// NewHasher hashes these parts of a request under a seed. No parts: the limit is not counted by key.
func NewHasher(parts []policy.KeyPart, seed [2]uint64) *Hasher {
	return &Hasher{parts: parts, seed: seed}
}

// ByClientIP reports whether a part of the key is client_ip, which costs a host call.
func (h *Hasher) ByClientIP() bool {
	for _, part := range h.parts {
		if part.Kind == policy.KeyClientIP {
			return true
		}
	}
	return false
}

// Fingerprint is a request's identity. The hash costs 1 ns a byte; Envoy bounds a request's headers (60 KB by default).
func (h *Hasher) Fingerprint(headers header.Headers, clientIP string) sharedstate.Fingerprint {
	b := h.buf[:0]
	for i := range h.parts {
		start := len(b)
		b = append(b, 0, 0, 0, 0, 0)
		var found bool
		b, found = appendPart(b, &h.parts[i], headers, clientIP)
		if found {
			b[start] = 1
		}
		binary.LittleEndian.PutUint32(b[start+1:], uint32(len(b)-start-5))
	}
	h.buf = b
	hi, lo := siphash.Hash128(h.seed[0], h.seed[1], b)
	if hi == 0 && lo == 0 { // zeros mark a free way of a set
		lo = 1
	}
	return sharedstate.Fingerprint{Hi: hi, Lo: lo}
}

// appendPart appends what a request has for one part of a key, and reports whether it has anything.
func appendPart(b []byte, part *policy.KeyPart, headers header.Headers, clientIP string) (_ []byte, found bool) {
	switch part.Kind {
	case policy.KeyClientIP:
		return append(b, clientIP...), clientIP != ""
	case policy.KeyMethod:
		return appendHeader(b, headers, ":method")
	case policy.KeyHeader:
		return appendHeader(b, headers, part.Name)
	case policy.KeyPath:
		target := header.First(headers, ":path")
		path, _, _ := strings.Cut(target, "?")
		return appendDecoded(b, path, false), target != ""
	case policy.KeyQuery:
		_, query, _ := strings.Cut(header.First(headers, ":path"), "?")
		query, _, _ = strings.Cut(query, "#")
		return appendQuery(b, query, part.Name)
	default: // KeyCookie; HTTP/2 may send several cookie headers (RFC 9113, section 8.2.3)
		headers.All(func(name, value string) bool {
			if name == "cookie" && !found {
				b, found = appendCookie(b, value, part.Name)
			}
			return !found
		})
		return b, found
	}
}

// appendHeader appends all values under a name, with a comma between them as RFC 9110, section 5.3, joins them.
func appendHeader(b []byte, headers header.Headers, want string) (_ []byte, found bool) {
	headers.All(func(name, value string) bool {
		if name == want {
			if found {
				b = append(b, ',', ' ')
			}
			b, found = append(b, value...), true
		}
		return true
	})
	return b, found
}

// appendCookie appends the first cookie of that name (RFC 6265, section 4.2.1), as it was sent.
func appendCookie(b []byte, pairs, want string) (_ []byte, found bool) {
	for pairs != "" {
		var pair string
		pair, pairs, _ = strings.Cut(pairs, ";")
		name, value, _ := strings.Cut(strings.TrimLeft(pair, " "), "=")
		if name == want {
			return append(b, value...), true
		}
	}
	return b, false
}

// appendQuery appends the first value of that name, decoded. The name may be encoded in any way.
func appendQuery(b []byte, query, want string) (_ []byte, found bool) {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		start := len(b)
		b = appendDecoded(b, name, true)
		same := string(b[start:]) == want
		b = b[:start]
		if same {
			return appendDecoded(b, value, true), true
		}
	}
	return b, false
}

// appendDecoded appends s with its %XX decoded: to an upstream %61 and a are the same, so they are one key, or each
// spelling would have a limit of its own. In a query + is a space, too. Anything that is not %XX stays as it is.
func appendDecoded(b []byte, s string, plus bool) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			if high, low := unhex(s[i+1]), unhex(s[i+2]); high < 16 && low < 16 {
				b = append(b, high<<4|low)
				i += 2
				continue
			}
		}
		if c == '+' && plus {
			c = ' '
		}
		b = append(b, c)
	}
	return b
}

// unhex is the value of a hexadecimal digit, 16 for any other byte.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	default:
		return 16
	}
}
