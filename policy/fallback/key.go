package fallback

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// A key is parts, each with a mark and a length before it, so that no two requests that differ in a part have the same
// bytes, whatever separators they smuggle in:
//
//	'c' u32 name       for each of cache_key_headers, sorted: a reload that changes them shares no key with before
//	'n' u32 name       for each header of a key that the request has, sorted by name, and after it
//	'v' u32 value      each of its values, in order, as it was sent
//
// Lengths are little endian. A header that is empty has a value of no bytes, one that is absent has no part.
const (
	markConfigured = 'c'
	markName       = 'n'
	markValue      = 'v'
)

func appendPart(b []byte, mark byte, s string) []byte {
	b = append(b, mark)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

// inEveryKey says which headers a key always has: the target as it was sent, and where proxies before this one say that
// the client saw it. An upstream builds links and redirects from those, so that an answer made for one value must
// not reach a request with another ("Practical Web Cache Poisoning", Kettle 2018); and balancers set them on each
// request, so that refusing to cache those would be to have no cache behind one.
func inEveryKey(name string) bool {
	switch name {
	case ":scheme", ":authority", ":path", "host",
		"x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-scheme", "x-forwarded-prefix",
		"x-forwarded-server", "x-forwarded-ssl", "x-forwarded-protocol", "x-url-scheme", "x-scheme", "front-end-https",
		"x-envoy-original-path", "x-envoy-original-host":
		return true
	}
	return false
}

// keyWalk is the parts of a key as a walk finds them.
type keyWalk struct{ found []part }

type part struct{ name, value string }

// AppendKey appends the bytes that the caller makes a request's key of. GET and HEAD have the same.
func (r *CacheRules) AppendKey(b []byte, h Headers) []byte {
	w := &r.key
	h.All(r.seeKey)
	slices.SortStableFunc(w.found, func(a, b part) int { return cmp.Compare(a.name, b.name) })
	b = append(b, r.head...)
	for i, p := range w.found {
		if i == 0 || p.name != w.found[i-1].name {
			b = appendPart(b, markName, p.name)
		}
		b = appendPart(b, markValue, p.value)
	}
	clear(w.found)
	w.found = w.found[:0]
	return b
}

func (r *CacheRules) stepKey(name, value string) bool {
	if inEveryKey(name) || r.keyed(name) {
		r.key.found = append(r.key.found, part{name, value})
	}
	return true
}
