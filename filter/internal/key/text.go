package key

import (
	"encoding/binary"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/visible"
)

// What operators see of a key without a value: these say nothing about who asked.
const (
	ambiguousText = "(ambiguous)" // a part is there more than once
	absentText    = "(none)"      // the request has none of the parts
)

// SaysNothing reports whether a text says nothing about who asked.
func SaysNothing(text string) bool { return text == ambiguousText || text == absentText }

// mostText bounds what is read of a key, in bytes: a client may send 60 KB, and each refusal would copy them several times.
// Operators see 64 bytes of it, however many of the 256 are one '?' for three bytes.
const mostText = 256

// Text is what operators may see of the key whose fingerprint was made last. Plain is the key itself:
//
//	x-api-key=K1 client_ip=192.0.2.1
//
// Without plain it is "", unless the key has no value.
func (h *Hasher) Text(plain bool) string {
	if h.wasAmbiguous {
		return ambiguousText
	}
	var text []byte
	given, cut := false, false
	rest := h.reader.b
	for i := range h.parts {
		if len(rest) < 5 {
			break
		}
		mark, size := rest[0], int(binary.LittleEndian.Uint32(rest[1:]))
		value := rest[5 : 5+size]
		rest = rest[5+size:]
		given = given || mark == foundMark
		if cut = cut || len(text) >= mostText; cut || !plain {
			continue
		}
		if len(text) > 0 {
			text = append(text, ' ')
		}
		part := &h.parts[i]
		text = append(append(text, partName(part)...), '=')
		switch {
		case mark == absentMark:
			text = append(text, absentText...)
		case part.IPv4Prefix > 0:
			text = appendNetwork(text, value, part)
		default:
			fits := min(len(value), max(mostText-len(text), 0))
			cut = fits < len(value)
			text = append(text, value[:fits]...)
		}
	}
	switch {
	case !given:
		return absentText
	case !plain:
		return ""
	}
	shown := printable(string(text))
	if cut {
		shown += "…"
	}
	return shown
}

func partName(p *policy.KeyPart) string {
	if p.Name != "" {
		return p.Name
	}
	return [...]string{policy.KeyClientIP: "client_ip", policy.KeyPath: "path", policy.KeyMethod: "method"}[p.Kind]
}

// appendNetwork writes an address as reader.masked has left it: 192.0.2.0/24, 2001:db8:1:2::/64.
func appendNetwork(b, address []byte, part *policy.KeyPart) []byte {
	switch len(address) {
	case 4:
		for i, n := range address {
			if i > 0 {
				b = append(b, '.')
			}
			b = strconv.AppendUint(b, uint64(n), 10)
		}
		return strconv.AppendUint(append(b, '/'), uint64(part.IPv4Prefix), 10)
	case 16:
		end := 16
		for end > 0 && address[end-2] == 0 && address[end-1] == 0 {
			end -= 2
		}
		for i := 0; i < end; i += 2 {
			if i > 0 {
				b = append(b, ':')
			}
			b = strconv.AppendUint(b, uint64(binary.BigEndian.Uint16(address[i:])), 16)
		}
		if end < 16 {
			b = append(b, "::"...)
		}
		return strconv.AppendUint(append(b, '/'), uint64(part.IPv6Prefix), 10)
	}
	return append(b, address...) // a Unix socket, or one of Envoy's internal listeners
}

// printable keeps a key from forging a line of the log, or a terminal's control characters, and from looking like another.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !visible.Rune(r) || r == utf8.RuneError {
			return '?'
		}
		return r
	}, s)
}

// AppendHash writes a hash as 16 hexadecimal digits.
func AppendHash(b []byte, hash uint64) []byte {
	for zeros := 60; zeros > 0 && hash>>zeros == 0; zeros -= 4 {
		b = append(b, '0')
	}
	return strconv.AppendUint(b, hash, 16)
}
