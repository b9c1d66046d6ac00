package policy

// defaultFailures is circuit_breaker.expected_failures where nothing is written.
var defaultFailures = []string{
	"5xx", "reset", "connect_failure", "timeout",
	"grpc:unavailable", "grpc:deadline_exceeded", "grpc:internal",
}

// DefaultFailures is what counts as a failure where no policy says it.
func DefaultFailures() Failures {
	var f Failures
	for _, word := range defaultFailures {
		f.add(word)
	}
	return f
}
