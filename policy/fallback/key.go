package fallback

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// A key consists of parts, each preceded by a mark and a length, so that two requests that differ in a part never have
// the same bytes, whatever separators their values contain:
//
//	'c' u32 name       for each of cache_key_headers, sorted: a reload that changes them changes all keys
//	'n' u32 name       for each header of a key that the request has, as it was sent, sorted with _ as -, and after it
//	'v' u32 value      each of its values, in order, as it was sent
//
// Lengths are little endian. An empty header has a value of no bytes, an absent one has no part.
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

// alwaysInKey reports whether a header is part of every key: the target as it was sent, and the client's view of it as
// other proxies report it. Upstreams build links and redirects from those, so an answer for one value must not be
// served for another ("Practical Web Cache Poisoning", Kettle 2018). Load balancers set them on each request, so they
// can't be a reason not to cache.
func alwaysInKey(name string) bool {
	switch name {
	case ":scheme", ":authority", ":path", "host",
		"x-forwarded-proto", "x-forwarded-host", "x-forwarded-port", "x-forwarded-scheme", "x-forwarded-prefix",
		"x-forwarded-server", "x-forwarded-ssl", "x-forwarded-protocol", "x-url-scheme", "x-scheme", "front-end-https",
		"x-envoy-original-path", "x-envoy-original-host":
		return true
	}
	return false
}

// keyWalk collects the parts of a key from the headers.
type keyWalk struct{ found []part }

type part struct{ class, name, value string } // class: the dashed name

// AppendKey appends the bytes of a request's key. GET and HEAD have the same.
func (r *CacheRules) AppendKey(b []byte, h Headers) []byte {
	w := &r.key
	h.All(r.seeKey)
	slices.SortStableFunc(w.found, func(a, b part) int { return cmp.Compare(a.class, b.class) })
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
	if class := dashed(name); alwaysInKey(class) || r.keyed(class) {
		r.key.found = append(r.key.found, part{class, name, value})
	}
	return true
}
