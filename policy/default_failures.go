package policy

// defaultFailures is the default of circuit_breaker.expected_failures.
var defaultFailures = []string{
	"5xx", "reset", "connect_failure", "timeout",
	"grpc:unavailable", "grpc:deadline_exceeded", "grpc:internal",
}

// DefaultFailures is what counts as a failure if the policy does not list it.
func DefaultFailures() Failures {
	var f Failures
	for _, word := range defaultFailures {
		f.add(word)
	}
	return f
}
