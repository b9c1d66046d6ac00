package policy

import "slices"

// AccessLog is `access_log`: the set of what Weir notes about each request for Envoy's access log.
type AccessLog uint8

// What can be noted.
const (
	LogDecision  AccessLog = 1 << iota // allowed, rate_limited, …, in shadow shadow_rate_limited
	LogKey                             // the hash of the limit's key, see show_keys
	LogRemaining                       // how many requests the limit still admits
	LogBreaker                         // closed, open, half_open
)

// accessLogWords are the words of `access_log`, by their bits.
var accessLogWords = []string{"decision", "key", "remaining", "breaker"}

func decodeAccessLog(s *section) (set AccessLog) {
	words := s.texts("access_log", "decision, key, remaining, breaker", nil, func(word string) (kept, problem string) {
		if !slices.Contains(accessLogWords, word) {
			return word, "unknown value " + quote(word) + ", " + suggestion(word, accessLogWords)
		}
		return word, ""
	})
	for _, word := range words {
		set |= 1 << slices.Index(accessLogWords, word)
	}
	return set
}
