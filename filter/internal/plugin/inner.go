package plugin

import (
	"strings"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
)

// inner reports whether upstream's response is the answer of another Weir, behind this one, in place of its own upstream:
// x-weir-source, which is there once, names a fallback or an error. Then that Weir's headers pass, and this one sets none. Of any
// other response all of upstream's x-weir-* are removed:
//
//	x-weir-source                   the client sees          removed
//	default, cache, error …         the inner Weir's set     none
//	other values, none, or several  this Weir's set          all
//
// An upstream that is no Weir can send a source as well. It does itself no good: the response is neither kept nor a success.
func (s *stream) inner(headers host.Headers) bool {
	if isInner(headers) {
		return true
	}
	for c := headers.Cursor(); c.Next(); {
		if header.IsOwn(c.Name) {
			if err := host.RemoveHeader(host.ResponseHeaders, c.Name); err != nil {
				s.fault(err)
			}
		}
	}
	return false
}

func isInner(headers header.Headers) bool {
	sources, isFallback := 0, false
	headers.All(func(name, value string) bool {
		if name == header.Source {
			sources++
			isFallback = fallback.IsFallback(value)
		}
		return true
	})
	return sources == 1 && isFallback
}

// innerPairs are the x-weir headers of the response to an attempt of the filter, if it is another Weir's answer in place of
// its upstream.
func innerPairs(headers header.Headers) (pairs []header.Pair) {
	if headers == nil || !isInner(headers) {
		return nil
	}
	headers.All(func(name, value string) bool {
		if strings.HasPrefix(name, header.Prefix) {
			pairs = append(pairs, header.Pair{name, value})
		}
		return true
	})
	return pairs
}
