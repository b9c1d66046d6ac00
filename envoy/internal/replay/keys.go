package replay

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/weir-mesh/weir/policy"
)

// mostKeys is how many keys are reported.
const mostKeys = 10

// summarizeKeys groups a cluster's requests by the key of its limit, as it is written in the log. The filter itself decides by
// more careful rules, such as that two values of one header are nobody's key: they make no difference to what is counted as
// refused, only to the name under which it is listed.
func summarizeKeys(limit *policy.RateLimit, l *Log, d *Decisions, mine []uint32) (report KeysReport, starts [][]int64) {
	var parts []string
	for _, part := range limit.Key {
		parts = append(parts, part.String())
	}
	report.By = strings.Join(parts, ", ")
	type identity struct{ set, source uint32 }
	byIdentity := map[identity]int{} // many requests have the same headers and address
	byText := map[string]int{}
	type key struct {
		text        string
		starts      []int64
		rateLimited int
	}
	var keys []key
	for _, i := range mine {
		r := &l.requests[i]
		id := identity{r.set, r.source}
		k, known := byIdentity[id]
		if !known {
			text := keyText(limit.Key, l.sets.all[r.set], l.sources.all[r.source])
			if k, known = byText[text]; !known {
				k = len(keys)
				keys = append(keys, key{text: text})
				byText[text] = k
			}
			byIdentity[id] = k
		}
		keys[k].starts = append(keys[k].starts, r.start)
		if d.Of[i] == RateLimited {
			keys[k].rateLimited++
		}
	}
	report.Keys, report.Most = len(keys), []KeyReport{}
	all := make([]KeyReport, len(keys))
	for i, k := range keys {
		all[i] = KeyReport{Key: k.text, Requests: len(k.starts), RateLimited: k.rateLimited, Need: need(limit, k.starts)}
		starts = append(starts, k.starts)
		if k.rateLimited > 0 {
			report.Refused++
		}
	}
	slices.SortFunc(all, func(a, b KeyReport) int {
		return cmp.Or(cmp.Compare(b.RateLimited, a.RateLimited), cmp.Compare(b.Requests, a.Requests), strings.Compare(a.Key, b.Key))
	})
	report.Most = append(report.Most, all[:min(mostKeys, len(all))]...)
	return report, starts
}

// absent stands for a part that a request does not have.
const absent = "(none)"

func keyText(parts []policy.KeyPart, set, source string) string {
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = cmp.Or(partText(part, set, source), absent)
	}
	return strings.Join(texts, ", ")
}

func partText(part policy.KeyPart, set, source string) string {
	path, query, _ := strings.Cut(header(set, ":path"), "?")
	switch part.Kind {
	case policy.KeyHeader:
		return strings.TrimSpace(header(set, part.Name))
	case policy.KeyMethod:
		return header(set, ":method")
	case policy.KeyPath:
		if decoded, err := url.PathUnescape(path); err == nil {
			return decoded
		}
		return path
	case policy.KeyQuery:
		return pair(query, "&", part.Name, true)
	case policy.KeyCookie:
		return pair(header(set, "cookie"), ";", part.Name, false)
	default:
		return network(part, source)
	}
}

// header is a value of packed headers.
func header(packed, name string) string {
	b := bytesOf(packed)
	n := binary.LittleEndian.Uint32(b)
	for lengths, at := b[4:], 4+8*n; n > 0; n-- {
		nameSize, valueSize := binary.LittleEndian.Uint32(lengths), binary.LittleEndian.Uint32(lengths[4:])
		if packed[at:at+nameSize] == name {
			return packed[at+nameSize+1 : at+nameSize+1+valueSize]
		}
		lengths, at = lengths[8:], at+nameSize+valueSize+2
	}
	return ""
}

// pair is the value of a query's parameter or a cookie.
func pair(text, separator, name string, encoded bool) string {
	for p := range strings.SplitSeq(text, separator) {
		key, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if encoded {
			if decoded, err := url.QueryUnescape(key); err == nil {
				key = decoded
			}
			if decoded, err := url.QueryUnescape(value); err == nil {
				value = decoded
			}
		}
		if key == name {
			return value
		}
	}
	return ""
}

// network is a client's address, or the network by whose prefix it counts.
func network(part policy.KeyPart, source string) string {
	if end := strings.LastIndexByte(source, ':'); end >= 0 {
		source = source[:end]
	}
	source = strings.Trim(source, "[]")
	address, err := netip.ParseAddr(source)
	if err != nil || part.IPv4Prefix == 0 {
		return source
	}
	address = address.Unmap().WithZone("")
	bits := int(part.IPv6Prefix)
	if address.Is4() {
		bits = int(part.IPv4Prefix)
	}
	prefix, err := address.Prefix(bits)
	switch {
	case err != nil:
		return source
	case prefix.IsSingleIP():
		return prefix.Addr().String()
	}
	return prefix.String()
}
