package policy

import (
	"slices"
	"strings"

	"github.com/weir-mesh/weir/policy/decimal"
	"github.com/weir-mesh/weir/policy/statuses"
)

// grpcCodes are the names of gRPC's status codes in lower case, by code
// (https://github.com/grpc/grpc/blob/master/doc/statuscodes.md).
var grpcCodes = [17]string{
	"ok", "cancelled", "unknown", "invalid_argument", "deadline_exceeded", "not_found", "already_exists",
	"permission_denied", "resource_exhausted", "failed_precondition", "aborted", "out_of_range", "unimplemented",
	"internal", "unavailable", "data_loss", "unauthenticated",
}

// decodeFailures reads a list of outcomes that count as failures; the default is written as in a document.
func decodeFailures(s *section, name string, fallback ...string) Failures {
	var set Failures
	items, written := s.list(name, "failures, see below", s.listText(fallback))
	if !written {
		for _, word := range fallback {
			set.add(word)
		}
		return set
	}
	for _, it := range items {
		var problem string
		switch it.value.kind {
		case text:
			problem = set.add(it.value.text)
		case number: // a status without its quotes
			problem = set.add(numberText(it.value.number))
		default:
			problem = "must be a string, got " + it.value.kind.String()
		}
		if problem != "" {
			s.d.mistake(it.path, problem)
		}
	}
	return set
}

// add puts what word names into the set, or returns what is wrong with it.
func (f *Failures) add(word string) (problem string) {
	switch word {
	case "4xx", "5xx":
		f.Statuses.AddClass(int(word[0] - '0'))
		return ""
	case "reset":
		f.Reset = true
		return ""
	case "connect_failure":
		f.ConnectFailure = true
		return ""
	case "timeout":
		f.Timeout = true
		return ""
	}
	if code, ok := strings.CutPrefix(word, "grpc:"); ok {
		return f.addGRPC(code)
	}
	if status, ok := decimal.Int(word); ok {
		if len(word) != 3 || status < 100 || status > statuses.Max {
			return "a status must be from 100 to 599, got " + quote(word)
		}
		f.Statuses.Add(status)
		return ""
	}
	known := []string{
		"4xx", "5xx", "reset", "connect_failure", "timeout", `a status such as "429"`, `a gRPC code such as "grpc:unavailable"`,
	}
	return "unknown failure " + quote(word) + ", " + suggestion(word, known)
}

// addGRPC puts a gRPC code, by name or number, into the set. OK is not a failure.
func (f *Failures) addGRPC(code string) (problem string) {
	i := slices.Index(grpcCodes[:], code)
	if i < 0 {
		if n, ok := decimal.Int(code); ok {
			i = n
		}
	}
	if i < 1 || i >= len(f.GRPC) {
		return "unknown gRPC code " + quote(code) + ", " + suggestion(code, grpcCodes[1:])
	}
	f.GRPC[i] = true
	return ""
}
