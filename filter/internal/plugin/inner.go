package plugin

import (
	"strings"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/policy/header"
)

// inner reports whether upstream's response is the answer of another Weir, behind this one, in place of its own upstream:
// x-weir-source names a fallback or an error. Then that Weir's headers pass, and this one sets none. Of any other response
// upstream's x-weir-* are removed:
//
//	x-weir-source            the client sees                   removed
//	default, cache, error …  the inner Weir's set              none
//	upstream, other values   this Weir's set                   all others
//	none                     this Weir's set                   x-weir-fallback-used, the one that clients go by
//
// An upstream that is no Weir can send a source as well. It does itself no good: the response is neither kept nor a success.
func (s *stream) inner() bool {
	source, err := host.Header(host.ResponseHeaders, header.Source)
	if err == nil && fallback.IsFallback(source) {
		return true
	}
	s.remove(header.FallbackUsed)
	if err == nil {
		for _, name := range [...]string{header.Source, header.Reason, header.DegradedMode, header.Error} {
			s.remove(name)
		}
	}
	return false
}

func (s *stream) remove(name string) {
	if err := host.RemoveHeader(host.ResponseHeaders, name); err != nil {
		s.fault(err)
	}
}

// innerPairs are the x-weir headers of the response to an attempt of the filter, if it is another Weir's answer in place of
// its upstream.
func innerPairs(headers header.Headers) (pairs []header.Pair) {
	if headers == nil || !fallback.IsFallback(header.First(headers, header.Source)) {
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
