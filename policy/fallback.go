package policy

import (
	"slices"
	"strings"
	"time"
)

// decodeFallback reads `fallback`.
func decodeFallback(s *section) *Fallback {
	if s == nil {
		return nil
	}
	const week = 7 * 24 * time.Hour
	f := &Fallback{
		EnableCache:     s.boolean("enable_cache_fallback", true),
		TTL:             s.duration("fallback_data_ttl", 300*time.Second, 0, week),
		Staleness:       s.duration("cache_staleness_threshold", time.Hour, 0, week),
		CacheKeyHeaders: s.texts("cache_key_headers", "header names", nil, headerName),
		Shared:          s.boolean("shared", false),
		MaxEntries:      int(s.whole("max_entries", 256, 1, 4096)),
		MaxBodyBytes:    s.whole("max_body_bytes", 65536, 1, maxBodyBytes),
		Methods:         s.texts("methods", "methods", []string{"GET", "HEAD"}, method),
		EnableDefault:   s.boolean("enable_default_fallback", true),
		Default:         decodeDefaultData(s.section("default_data")),
		DefaultByPath:   decodeDefaultByPath(s),
		EnableDegraded:  s.boolean("enable_degraded_mode", true),
	}
	degraded := s.subsection("degraded")
	f.DegradedWritten = degraded.has("status")
	f.DegradedStatus = int(degraded.whole("status", 503, 200, 599))
	f.Limitations = degraded.texts("limitations", "strings", nil, func(line string) (kept, problem string) {
		if line == "" || len(line) > 1024 {
			return "", "must have 1 to 1024 bytes"
		}
		return line, ""
	})
	degraded.end()
	f.On = decodeReasons(s)
	s.notBelow("cache_staleness_threshold", f.Staleness, "fallback_data_ttl", f.TTL)
	s.end()
	return f
}

// decodeReasons reads `on`. In YAML 1.1, which Kubernetes reads, a plain on is the boolean true, even as a key; so the
// key "true" is accepted for it.
func decodeReasons(s *section) Reasons {
	words := []string{"circuit_open", "upstream_failure", "bulkhead_full", "rate_limited"}
	if s.has("true") && !s.has("on") {
		s.rename("true", "on")
	}
	typ := ""
	if s.describes() {
		typ = strings.Join(words, ", ")
	}
	chosen := s.texts("on", typ, words[:3], func(word string) (kept, problem string) {
		if !slices.Contains(words, word) {
			return "", "unknown value " + quote(word) + ", " + suggestion(word, words)
		}
		return word, ""
	})
	return Reasons{
		CircuitOpen:     slices.Contains(chosen, words[0]),
		UpstreamFailure: slices.Contains(chosen, words[1]),
		BulkheadFull:    slices.Contains(chosen, words[2]),
		RateLimited:     slices.Contains(chosen, words[3]),
	}
}
