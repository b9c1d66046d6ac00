package fallback

import "encoding/binary"

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
	start := [5]byte{mark}
	binary.LittleEndian.PutUint32(start[1:], uint32(len(s)))
	return append(append(b, start[:]...), s...)
}

// inEveryKey are the headers that are part of every key: the target as it was sent, and the client's view of it as
// other proxies report it. Upstreams build links and redirects from those, so an answer for one value must not be
// served for another ("Practical Web Cache Poisoning", Kettle 2018). Load balancers set them on each request, so they
// can't be a reason not to cache.
var inEveryKey = names{
	4:  {"host"},
	5:  {":path"},
	7:  {":scheme"},
	8:  {"x-scheme"},
	10: {":authority"},
	12: {"x-url-scheme"},
	15: {"x-forwarded-ssl", "front-end-https"},
	16: {"x-forwarded-host", "x-forwarded-port"},
	17: {"x-forwarded-proto"},
	18: {"x-forwarded-scheme", "x-forwarded-prefix", "x-forwarded-server"},
	20: {"x-forwarded-protocol"},
	21: {"x-envoy-original-path", "x-envoy-original-host"},
}

// part is a header of a key.
type part struct{ class, name, value string } // class: the dashed name

// AppendKey appends the bytes of the key of the request that Request has read just now, once. GET and HEAD have the same.
func (r *CacheRules) AppendKey(b []byte) []byte {
	// Stable, by insertion: a key has some five parts, at most the 100 headers that Envoy takes of a request by default, and
	// slices.SortStableFunc calls a function for each comparison.
	for i := 1; i < len(r.parts); i++ {
		for j := i; j > 0 && r.parts[j].class < r.parts[j-1].class; j-- {
			r.parts[j], r.parts[j-1] = r.parts[j-1], r.parts[j]
		}
	}
	b = append(b, r.head...)
	for i := range r.parts {
		p := &r.parts[i]
		if i == 0 || p.name != r.parts[i-1].name {
			b = appendPart(b, markName, p.name)
		}
		b = appendPart(b, markValue, p.value)
	}
	clear(r.parts)
	r.parts = r.parts[:0]
	return b
}
